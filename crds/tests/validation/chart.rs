//! The chart's templates are what the types say.

use std::{collections::BTreeSet, fs, path::PathBuf};

use lvs_crds::{chart, definition};

fn templates() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../charts/lvs-operator/templates/crds")
}

#[test]
fn the_templates_are_up_to_date() {
    for crd in definition::all() {
        let path = templates().join(chart::file_name(&crd));
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == chart::template(&crd).unwrap(),
            "{} is not what the types say: run `make crds` and commit the result",
            path.display()
        );
    }
}

#[test]
fn there_is_a_template_for_each_kind_and_no_other() {
    let written: BTreeSet<String> = fs::read_dir(templates())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = definition::all().iter().map(chart::file_name).collect();
    assert_eq!(written, expected);
}

#[test]
fn a_text_that_helm_would_interpret_is_refused() {
    let mut crd = definition::all().remove(0);
    crd.spec.names.categories = Some(vec!["{{ lvs }}".into()]);
    assert!(
        chart::template(&crd)
            .unwrap_err()
            .to_string()
            .contains("action of Helm")
    );
}

#[test]
fn a_string_that_yaml_1_1_takes_for_a_boolean_is_quoted() {
    let value = serde_json::json!({"default": "Off", "enum": ["Any", "off", "Yes"], "text": "switch it off"});
    assert_eq!(
        chart::yaml(&value).unwrap(),
        "default: 'Off'\nenum:\n- Any\n- 'off'\n- 'Yes'\ntext: switch it off\n"
    );
}
