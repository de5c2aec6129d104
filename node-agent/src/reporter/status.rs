//! From the loop's report to `NodePlan.status`. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lvs_crds::v1alpha1::{NodePlanStatus, condition};

use crate::report::{Report, ReportedCondition};
use crate::source::Refusal;

/// Longest message of a condition, in bytes (API conventions).
const MESSAGE_BYTES: usize = 32768;
/// Reason of `Programmed` when the plan asks for what this agent lacks.
const UNSUPPORTED_FEATURE: &str = "UnsupportedFeature";

/// The status to write. It equals `before` unless something changed its meaning: conditions keep the
/// time of their last transition.
#[must_use]
pub fn status(
    before: &NodePlanStatus,
    report: &Report,
    refusal: Option<&Refusal>,
    now: &Time,
) -> NodePlanStatus {
    let observed_generation = refusal
        .and_then(|refusal| refusal.generation)
        .unwrap_or(report.observed_generation);
    let mut reported = report.conditions.clone();
    if let Some(refusal) = refusal {
        reported.retain(|condition| condition.type_ != condition::PROGRAMMED);
        reported.push(ReportedCondition {
            type_: condition::PROGRAMMED,
            status: false,
            reason: UNSUPPORTED_FEATURE,
            message: refusal.to_string(),
        });
    }
    // Sorted, so that the order in which they were found changes nothing.
    reported.sort_by_key(|condition| condition.type_);
    let conditions = reported
        .into_iter()
        .map(|reported| Condition {
            type_: reported.type_.into(),
            status: if reported.status { "True" } else { "False" }.into(),
            reason: reported.reason.into(),
            message: shorten(reported.message, MESSAGE_BYTES),
            observed_generation: Some(observed_generation),
            last_transition_time: now.clone(),
        })
        .collect();
    NodePlanStatus {
        observed_generation,
        applied_revision: report.applied_revision.clone(),
        agent_version: Some(env!("CARGO_PKG_VERSION").into()),
        instances: report.instances.clone(),
        fencing: report.fencing.clone(),
        unhealthy: report.unhealthy.clone(),
        unhealthy_count: i32::try_from(report.unhealthy_count).unwrap_or(i32::MAX),
        service_problems: report.service_problems.clone(),
        without_quorum: report.without_quorum.clone(),
        draining: report.draining.clone(),
        draining_count: i32::try_from(report.draining_count).unwrap_or(i32::MAX),
        kernel: report.kernel.clone(),
        conditions: condition::merge(&before.conditions, conditions),
    }
}

/// Cuts `text` to at most `bytes`, between characters.
pub(super) fn shorten(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
    }
    text
}

#[cfg(test)]
mod tests {
    use lvs_crds::v1alpha1::{InstanceReport, RouterState};

    use super::*;

    fn at(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).expect("a time"))
    }

    fn report() -> Report {
        Report {
            observed_generation: 3,
            applied_revision: Some("r3".into()),
            instances: vec![InstanceReport {
                name: "default".into(),
                state: RouterState::Active,
                problem: None,
                split_brain: None,
                source_addresses: Vec::new(),
            }],
            unhealthy_count: 300,
            conditions: vec![ReportedCondition {
                type_: condition::PROGRAMMED,
                status: true,
                reason: "AsExpected",
                message: "the kernel equals the plan".into(),
            }],
            ..Report::default()
        }
    }

    fn nothing() -> NodePlanStatus {
        serde_json::from_str("{}").expect("a status")
    }

    #[test]
    fn the_same_meaning_later_is_the_same_status() {
        let first = status(&nothing(), &report(), None, &at(10));
        let second = status(&first, &report(), None, &at(20));
        assert_eq!(first, second);
        assert_eq!(first.unhealthy_count, 300);
        assert_eq!(first.conditions[0].observed_generation, Some(3));
    }

    #[test]
    fn a_refused_plan_is_not_programmed_and_the_old_revision_stays() {
        let before = status(&nothing(), &report(), None, &at(10));
        let refusal = Refusal {
            object: "NodePlan/lb-1".into(),
            generation: Some(4),
            message: "spec.formatVersion is 2".into(),
        };
        let after = status(&before, &report(), Some(&refusal), &at(20));
        assert_eq!(after.observed_generation, 4);
        assert_eq!(after.applied_revision.as_deref(), Some("r3"));
        let programmed = &after.conditions[0];
        assert_eq!(
            (programmed.status.as_str(), programmed.reason.as_str()),
            ("False", "UnsupportedFeature")
        );
        assert_eq!(programmed.last_transition_time, at(20));
        let again = status(&after, &report(), None, &at(30));
        assert_eq!(again.conditions[0].status, "True");
        assert_eq!(again.conditions[0].last_transition_time, at(30));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shorten("größe".into(), 4), "gr\u{f6}");
        assert_eq!(shorten("größe".into(), 3), "gr");
        assert_eq!(shorten("kurz".into(), 4), "kurz");
    }
}
