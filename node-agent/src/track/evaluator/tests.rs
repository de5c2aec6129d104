use serde_json::json;

use super::*;
use crate::fixture;

fn director(tracks: serde_json::Value) -> DirectorRole {
    let bundle = fixture::director(&json!([]), &json!([]));
    let mut director = bundle.plan.director.expect("a director");
    director.instances[0].track = serde_json::from_value(tracks).expect("things to track");
    director
}

fn evaluator(tracks: serde_json::Value) -> Evaluator {
    let mut evaluator = Evaluator::default();
    evaluator.configure(Some(&director(tracks)));
    evaluator
}

fn adjustment(evaluator: &Evaluator) -> (i32, bool) {
    let verdict = &evaluator.verdicts()["default"];
    (verdict.adjustment.weight, verdict.adjustment.is_fault)
}

/// Input: one look after the other, `+` as it should be. Output: whether it counts as failed.
#[test]
fn rise_and_fall_are_looks_in_a_row() {
    let subject = Subject::Interface("eth1".into());
    for (rise, fall, looks, failed) in [
        (1, 1, "+-+-", ".F.F"),
        (2, 3, "--+---+-++-", ".....FFFF.."),
        (3, 1, "-++-+++", "FFFFFF."),
    ] {
        let track = json!([{"name": "out", "interface": "eth1", "rise": rise, "fall": fall}]);
        let mut evaluator = evaluator(track);
        let found: String = looks
            .chars()
            .map(|look| {
                evaluator.look(&subject, look == '+');
                if adjustment(&evaluator).1 { 'F' } else { '.' }
            })
            .collect();
        assert_eq!(found, failed, "rise {rise}, fall {fall}, looks {looks}");
    }
}

#[test]
fn weights_above_zero_count_while_well_and_those_below_while_failed() {
    let mut evaluator = evaluator(json!([
        {"name": "gateway", "ping": {"address": "192.0.2.1"}, "weight": 20, "rise": 1, "fall": 1},
        {"name": "inside", "interface": "eth1", "weight": -30, "rise": 1, "fall": 1},
    ]));
    assert_eq!(adjustment(&evaluator), (20, false), "all is well at first");
    evaluator.look(&Subject::Ping([192, 0, 2, 1].into()), false);
    assert_eq!(adjustment(&evaluator), (0, false));
    evaluator.look(&Subject::Interface("eth1".into()), false);
    assert_eq!(adjustment(&evaluator), (-30, false));
    assert_eq!(
        evaluator.verdicts()["default"].failed,
        ["gateway", "inside"]
    );
    evaluator.look(&Subject::Ping([192, 0, 2, 1].into()), true);
    assert_eq!(adjustment(&evaluator), (-10, false));
}

#[test]
fn a_file_may_have_to_exist_or_must_not() {
    let mut evaluator = evaluator(json!([
        {"name": "maintenance", "file": {"name": "down"}, "rise": 1, "fall": 1},
        {"name": "fit", "file": {"name": "fit", "expected": "Present"}, "weight": -5, "rise": 1, "fall": 1},
    ]));
    evaluator.look(&Subject::File("down".into()), false);
    evaluator.look(&Subject::File("fit".into()), false);
    assert_eq!(adjustment(&evaluator), (-5, false));
    evaluator.look(&Subject::File("down".into()), true);
    evaluator.look(&Subject::File("fit".into()), true);
    assert_eq!(adjustment(&evaluator), (0, true));
}

#[test]
fn another_plan_forgets_nothing_of_what_stays() {
    let inside = json!({"name": "inside", "interface": "eth1", "rise": 1, "fall": 2});
    let mut evaluator = evaluator(json!([inside.clone()]));
    let subject = Subject::Interface("eth1".into());
    evaluator.look(&subject, false);
    let more =
        json!({"name": "ready", "virtualServices": {"minimumReadyPercent": 50}, "weight": 9});
    evaluator.configure(Some(&director(json!([more, inside]))));
    assert_eq!(evaluator.subjects().len(), 2);
    assert_eq!(adjustment(&evaluator), (9, false));
    evaluator.look(&subject, false);
    assert_eq!(
        adjustment(&evaluator),
        (9, true),
        "its second look in a row"
    );

    // The same name for another interface is another thing.
    let outside = json!({"name": "inside", "interface": "eth2", "rise": 1, "fall": 1});
    evaluator.configure(Some(&director(json!([outside]))));
    assert_eq!(adjustment(&evaluator), (0, false));
    evaluator.configure(None);
    assert!(evaluator.verdicts().is_empty() && evaluator.subjects().is_empty());
}
