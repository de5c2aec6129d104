//! Datagrams that `ipvsadm` and a kernel exchanged; see the heads of the files in `captures`.

/// The requests of `ipvsadm`, each with the command line that made it.
pub(crate) fn requests() -> Vec<(&'static str, Vec<u8>)> {
    read(include_str!("../captures/requests.txt"))
}

/// The kernel's answer of that name.
pub(crate) fn answer(name: &str) -> Vec<u8> {
    let answers = read(include_str!("../captures/answers.txt"));
    answers
        .into_iter()
        .find(|(other, _)| *other == name)
        .expect("an answer of that name")
        .1
}

fn read(text: &'static str) -> Vec<(&'static str, Vec<u8>)> {
    let mut datagrams: Vec<(&str, Vec<u8>)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("    ") {
            None => datagrams.push((line, Vec::new())),
            Some(digits) => {
                let bytes = digits.as_bytes().chunks(2).map(|pair| {
                    let pair = str::from_utf8(pair).expect("ASCII");
                    u8::from_str_radix(pair, 16).expect("hexadecimal digits")
                });
                datagrams
                    .last_mut()
                    .expect("a name before bytes")
                    .1
                    .extend(bytes);
            }
        }
    }
    datagrams
}
