use std::fs;

use lvs_vrrp::Monotonic;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::*;
use crate::fixture;
use crate::hook::tests::{directory, install};
use crate::vrrp::{LostPeer, RouterReport};

fn bundle(fencing: &serde_json::Value) -> Arc<PlanBundle> {
    let mut bundle = fixture::director(&json!([]), &json!([]));
    let role = bundle.plan.director.as_mut().expect("a director");
    role.fencing = serde_json::from_value(fencing.clone()).expect("fencing");
    let others = json!([{"nodeName": "lb-2", "addresses": ["192.168.1.12"]}]);
    role.other_directors = serde_json::from_value(others).expect("directors");
    Arc::new(bundle)
}

fn lost(heard: u64) -> VrrpReport {
    let at = |second| Monotonic::from_epoch(Duration::from_secs(second));
    let router = RouterReport {
        lost_peer: Some(LostPeer {
            address: [192, 168, 1, 12].into(),
            heard_at: at(heard),
            lost_at: at(heard + 3),
        }),
        ..fixture::active_router("default")
    };
    VrrpReport {
        routers: vec![router],
        ..VrrpReport::default()
    }
}

#[tokio::test]
async fn a_hook_that_is_not_there_is_told_before_it_is_needed() {
    let hooks = directory();
    let (plan, plans) = watch::channel(Some(bundle(&json!({"hook": {"name": "fence"}}))));
    let (vrrp, vrrp_report) = watch::channel(VrrpReport::default());
    let (reports, mut report) = watch::channel(None);
    let task = tokio::spawn(run(
        plans,
        vrrp_report,
        Hooks::new(hooks.path().to_owned(), None),
        Outputs {
            reports,
            metrics: Metrics::register(&mut Registry::default()),
            notices: None,
        },
    ));
    let problem = |report: &Option<FencingReport>| report.as_ref()?.problem.clone();
    let told = report.wait_for(|report| problem(report).is_some()).await;
    let told = problem(&told.expect("a report")).expect("a problem");
    assert!(told.starts_with("hook fence: "), "{told}");
    install(hooks.path(), "other", "exit 0");
    plan.send_replace(Some(bundle(&json!({"hook": {"name": "other"}}))));
    let is_well = |report: &Option<FencingReport>| {
        report
            .as_ref()
            .is_some_and(|report| report.problem.is_none())
    };
    report.wait_for(is_well).await.expect("a report");
    drop(vrrp);
    task.await.expect("the task ends with the VRRP thread");
}

#[tokio::test]
async fn a_lost_peer_is_fenced_and_what_became_of_it_is_told_everywhere() {
    let hooks = directory();
    let seen = hooks.path().join("seen");
    let script = format!(
        "echo \"$1 $LVS_PAIR $LVS_INSTANCE $LVS_PEER_NAME $LVS_PEER_ADDRESS $LVS_DIRECTORS\" >> {}\n\
         test -e {}/works || {{ echo no answer >&2; exit 7; }}",
        seen.display(),
        hooks.path().display()
    );
    install(hooks.path(), "fence", &script);
    let metrics = Metrics::register(&mut Registry::default());
    let (plan, plans) = watch::channel(Some(bundle(&json!({"hook": {"name": "fence"}}))));
    let (vrrp, vrrp_report) = watch::channel(VrrpReport::default());
    let (reports, mut report) = watch::channel(None);
    let (notices, mut told) = mpsc::channel(4);
    let task = tokio::spawn(run(
        plans,
        vrrp_report,
        Hooks::new(hooks.path().to_owned(), None),
        Outputs {
            reports,
            metrics: metrics.clone(),
            notices: Some(notices),
        },
    ));
    let mut ended = async || {
        let last = |report: &Option<FencingReport>| report.as_ref()?.last.clone();
        let is_ended = |report: &Option<FencingReport>| last(report).is_some_and(|last| last.ended);
        let report = report.wait_for(is_ended).await.expect("a report");
        last(&report).expect("it has ended")
    };

    vrrp.send_replace(lost(10));
    let failed = told.recv().await.expect("told");
    assert_eq!((failed.reason, failed.warning), ("FencingFailed", true));
    let problem = "hook fence: exit status: 7: no answer";
    assert!(failed.message.contains(problem), "{}", failed.message);
    let failed = ended().await;
    assert_eq!(failed.problem.as_deref(), Some(problem));
    assert_eq!(
        (failed.peer.as_str(), failed.peer_address.as_str()),
        ("lb-2", "192.168.1.12")
    );

    fs::write(hooks.path().join("works"), "").expect("written");
    vrrp.send_replace(lost(20));
    let fenced = told.recv().await.expect("told");
    assert_eq!(fenced.reason, "PeerFenced");
    assert_eq!(ended().await.problem, None);
    let line = "fence edge default lb-2 192.168.1.12 lb-2\n";
    assert_eq!(fs::read_to_string(seen).expect("seen"), line.repeat(2));
    for result in ["success", "failure"] {
        let label = ResultLabel { result };
        assert_eq!(metrics.fencing.get_or_create(&label).get(), 1, "{result}");
    }

    plan.send_replace(Some(bundle(&json!(null))));
    report.wait_for(Option::is_none).await.expect("forgotten");
    drop(vrrp);
    task.await.expect("the task ends with the VRRP thread");
}
