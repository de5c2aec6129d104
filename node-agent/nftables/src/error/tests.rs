use super::*;

const NOENT: i32 = 2;
const INVAL: i32 = 22;
const BUSY: i32 = 16;
const OPNOTSUPP: i32 = 95;
const AFNOSUPPORT: i32 = 97;

#[test]
fn what_the_kernel_lacks_is_named() {
    let chain = Change::AddChain {
        name: "prerouting".to_owned(),
        base: Some(crate::Base {
            kind: "filter".to_owned(),
            hook: 0,
            priority: -150,
            policy: 1,
        }),
    };
    let map = Change::AddMap {
        name: "ports_v4".to_owned(),
        kind: crate::MapType::default(),
    };
    for (error, word) in [
        (of_question(INVAL, "x"), "CONFIG_NF_TABLES "),
        (of_change(OPNOTSUPP, None), "CONFIG_NF_TABLES "),
        (
            of_change(AFNOSUPPORT, Some(&Change::AddTable)),
            "CONFIG_NF_TABLES_INET",
        ),
        (
            of_change(OPNOTSUPP, Some(&Change::AddTable)),
            "CONFIG_NF_TABLES_INET",
        ),
        (of_change(NOENT, Some(&chain)), "CONFIG_NF_TABLES_INET"),
        (of_change(OPNOTSUPP, Some(&map)), "nf_tables_set"),
    ] {
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(word) && text.contains("modprobe nf_tables"),
            "{text}"
        );
    }
}

#[test]
fn a_refusal_names_the_change() {
    let change = Change::DeleteChain {
        name: "ranges_192.0.2.1".to_owned(),
    };
    let error = of_change(BUSY, Some(&change));
    assert_eq!(error.refusal(), Some(Refusal::Busy));
    assert_eq!(
        error.to_string(),
        "nft delete chain inet lvs_operator ranges_192.0.2.1: it is in use"
    );
    // A chain that only others lead to is no matter of the kernel's configuration.
    let error = of_change(NOENT, Some(&change));
    assert_eq!(error.refusal(), Some(Refusal::NotFound));
}
