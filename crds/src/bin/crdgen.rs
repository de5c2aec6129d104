//! Prints the custom resource definitions as YAML, or writes them as templates of the chart:
//! `crdgen [--chart DIRECTORY]`.

use std::{
    error::Error,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use lvs_crds::{chart, definition};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] => print(),
        ["--chart", directory] => write_chart(&PathBuf::from(directory)),
        _ => Err("usage: crdgen [--chart DIRECTORY]".into()),
    }
}

fn print() -> Result<(), Box<dyn Error>> {
    let mut output = io::stdout().lock();
    for crd in definition::all() {
        writeln!(output, "---")?;
        output.write_all(chart::yaml(&crd)?.as_bytes())?;
    }
    Ok(())
}

fn write_chart(directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    for crd in definition::all() {
        let path = directory.join(chart::file_name(&crd));
        fs::write(&path, chart::template(&crd)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}
