use std::time::Instant;

use lvs_ipvs::DestinationKey;
use serde_json::json;

use super::*;
use crate::fixture::{active_router, real_server, web_director};
use crate::kernel::marks::Unsupported;
use crate::vrrp::RouterReport;

struct Case {
    bundle: PlanBundle,
    is_settled: bool,
    problems: Vec<Problem>,
    errors: Vec<String>,
    vrrp: VrrpReport,
    fencing: Option<FencingReport>,
    health: BTreeMap<MemberKey, Health>,
    lacks_ipvs: Option<Refused>,
    lacks_marks: Option<Refused>,
    missing_modules: BTreeSet<&'static str>,
}

fn settled(bundle: PlanBundle) -> Case {
    Case {
        bundle,
        is_settled: true,
        problems: Vec::new(),
        errors: Vec::new(),
        vrrp: VrrpReport::default(),
        fencing: None,
        health: BTreeMap::new(),
        lacks_ipvs: None,
        lacks_marks: None,
        missing_modules: BTreeSet::new(),
    }
}

impl Case {
    fn report(&self) -> Report {
        compose(Outcome {
            bundle: &self.bundle,
            is_settled: self.is_settled,
            problems: &self.problems,
            errors: &self.errors,
            vrrp_plan: &VrrpPlan::default(),
            vrrp: &self.vrrp,
            sources: &[("default".to_owned(), vec![[192, 168, 1, 129].into()])].into(),
            fencing: self.fencing.as_ref(),
            health: &self.health,
            services: &Services::resolve(&self.bundle, &Services::default()),
            programming: &Programming::default(),
            daemons: &[],
            sync_hold: &SyncHold::default(),
            kernel: &kernel(),
            ipvs_version: Some("1.2.1"),
            lacks_ipvs: self.lacks_ipvs.as_ref(),
            lacks_marks: self.lacks_marks.as_ref(),
            missing_modules: &self.missing_modules,
        })
    }

    fn pending(&self) -> String {
        let report = self.report();
        assert_eq!(report.applied_revision, None);
        assert!(!report.conditions[0].status);
        format!(
            "{}: {}",
            report.conditions[0].reason, report.conditions[0].message
        )
    }
}

fn kernel() -> NodeKernel {
    NodeKernel {
        node: "lb-1".into(),
        release: "6.1.176".into(),
    }
}

fn router(instance: &str, state: RouterState) -> RouterReport {
    RouterReport {
        state,
        ..active_router(instance)
    }
}

#[test]
fn a_plan_that_the_kernel_equals_is_applied() {
    let report = settled(web_director(&json!({}))).report();
    assert_eq!(report.observed_generation, 1);
    assert_eq!(report.applied_revision.as_deref(), Some("r1"));
    let conditions = report.conditions.iter();
    let conditions: Vec<_> = conditions
        .map(|condition| (condition.type_, condition.status))
        .collect();
    // The case has no daemons.
    let expected = [
        (condition::PROGRAMMED, true),
        (condition::CONNECTION_SYNCED, false),
    ];
    assert_eq!(conditions, expected);
}

#[test]
fn a_plan_is_not_applied_while_anything_is_missing() {
    let mut case = settled(web_director(&json!({})));
    case.is_settled = false;
    assert_eq!(case.pending(), "Pending: the plan is being carried out");

    let mut case = settled(web_director(&json!({})));
    case.bundle.slices.clear();
    assert_eq!(
        case.pending(),
        "Pending: the plan's slices have not all arrived"
    );

    let mut case = settled(web_director(&json!({})));
    case.problems.push(Problem::pending("pool a".into()));
    case.problems.push(Problem::of_node("interface".into()));
    assert_eq!(case.pending(), "Pending: pool a; interface");

    case.errors.push("ipvsadm -A: refused".into());
    assert_eq!(case.pending(), "KernelError: ipvsadm -A: refused");
}

#[test]
fn a_release_waits_until_the_roles_are_handed_over() {
    let mut case = settled(web_director(&json!({})));
    case.bundle.plan.director = None;
    assert!(case.report().applied_revision.is_some());
    case.vrrp
        .routers
        .push(router("default", RouterState::Active));
    assert_eq!(
        case.pending(),
        "Pending: VRRP instance default is handing over"
    );
}

#[test]
fn an_instance_with_a_problem_is_at_fault() {
    let mut case = settled(web_director(&json!({})));
    let state = |case: &Case| case.report().instances[0].state;
    assert_eq!(state(&case), RouterState::Initialize);
    case.vrrp
        .routers
        .push(router("default", RouterState::Active));
    assert_eq!(state(&case), RouterState::Active);
    let problem = Problem {
        instance: Some("default".into()),
        ..Problem::of_node("VRRP instance default: no interface".to_owned())
    };
    case.problems.push(problem);
    assert_eq!(state(&case), RouterState::Fault);
    let instance = case.report().instances.remove(0);
    assert_eq!(instance.problem.as_deref(), Some("no interface"));
    assert_eq!(instance.source_addresses, ["192.168.1.129"]);

    case.problems.clear();
    let mut down = router("default", RouterState::Fault);
    down.fault = Some("interface eth0 is down or missing".into());
    case.vrrp.routers.push(down);
    let instance = case.report().instances.remove(0);
    assert_eq!(instance.state, RouterState::Fault);
    assert_eq!(
        instance.problem.as_deref(),
        Some("interface eth0 is down or missing")
    );
}

#[test]
fn a_real_server_says_what_its_loopback_is() {
    let types = |vips: &[&str]| -> Vec<&'static str> {
        let report = settled(real_server(vips)).report();
        report
            .conditions
            .iter()
            .map(|condition| condition.type_)
            .collect()
    };
    assert_eq!(
        types(&["192.168.1.222"]),
        ["Programmed", "LoopbackConfigured", "ARPSuppressed"]
    );
    assert_eq!(types(&[]), ["Programmed", "LoopbackConfigured"]);
}

#[test]
fn all_unhealthy_members_are_counted_and_some_are_named() {
    let mut case = settled(web_director(&json!({})));
    for number in 0..300_u16 {
        let [high, low] = number.to_be_bytes();
        let key = MemberKey {
            service: "default/web".into(),
            destination: DestinationKey {
                address: [10, 0, high, low].into(),
                port: 80,
            },
        };
        let health = Health {
            up: number >= 290,
            reason: Some("tcp 10.0.0.1:80: connection refused".into()),
            checked: true,
            since: Instant::now(),
        };
        case.health.insert(key, health);
    }
    let report = case.report();
    assert_eq!(
        (report.unhealthy_count, report.unhealthy.len()),
        (290, Report::MAX_NAMED)
    );
    let first = &report.unhealthy[0];
    assert_eq!(
        (first.virtual_service.as_str(), first.backend.port),
        ("default/web", 80)
    );
    assert!(first.backend.reason.contains("refused"));
    assert!(
        report.applied_revision.is_some(),
        "checks do not make a plan unapplied"
    );
}

#[test]
fn long_messages_are_cut_between_characters() {
    let text = shortened("ä".repeat(MESSAGE_BYTES));
    assert!(
        text.len() <= MESSAGE_BYTES && text.ends_with('…'),
        "{}",
        text.len()
    );
    assert_eq!(shortened("short".into()), "short");
}

#[test]
fn a_plan_is_not_applied_while_an_active_router_lacks_vips() {
    let mut case = settled(web_director(&json!({})));
    let mut lacking = router("default", RouterState::Active);
    lacking.vips_present = false;
    case.vrrp.routers = vec![lacking];
    assert!(
        case.pending()
            .starts_with("KernelError: VRRP instance default")
    );
}

#[test]
fn what_only_others_can_do_leaves_the_plan_applied() {
    let mut case = settled(web_director(&json!({})));
    let differs = Problem::advice("SysctlDiffers", "sysctl x is 0 and should be 1".into());
    case.problems.push(differs);
    let report = case.report();
    assert_eq!(report.applied_revision.as_deref(), Some("r1"));
    let programmed = &report.conditions[0];
    assert_eq!(
        (programmed.status, programmed.reason),
        (false, "SysctlDiffers")
    );
    case.problems.push(Problem::of_node("interface".into()));
    assert_eq!(case.pending(), "KernelError: interface");
}

#[test]
fn a_kernel_without_ipvs_is_a_problem_of_every_service_and_not_of_the_node() {
    let mut case = settled(web_director(&json!({})));
    case.lacks_ipvs = Some(kernel().lacks_ipvs());
    let report = case.report();
    assert!(report.conditions[0].status);
    assert!(report.conditions[0].message.contains("1 virtual services"));
    let problem = &report.service_problems[0];
    assert_eq!(
        (problem.virtual_service.as_str(), problem.reason.as_str()),
        ("default/web", "UnsupportedByKernel")
    );
    assert!(problem.message.contains("modprobe ip_vs`"), "{problem:?}");
    let kernel = report.kernel.expect("a kernel");
    assert_eq!(kernel.missing_modules, ["ip_vs"]);
    assert_eq!(kernel.release, "6.1.176");
}

#[test]
fn a_kernel_without_nftables_is_a_problem_of_the_services_that_need_it() {
    let marked = json!({
        "firewallMark": {"mark": 99, "family": "IPv4", "managed": true},
    });
    for (changes, expected) in [(marked, 1), (json!({}), 0)] {
        let mut case = settled(web_director(&changes));
        case.lacks_marks = Some(kernel().lacks_marks(&Unsupported {
            module: "nf_tables",
            message: "load the module nf_tables".into(),
        }));
        case.missing_modules.insert("fou");
        let report = case.report();
        assert_eq!(report.service_problems.len(), expected, "{changes}");
        for problem in &report.service_problems {
            assert_eq!(problem.reason, "UnsupportedByKernel");
            assert!(problem.message.contains("nf_tables"), "{problem:?}");
        }
        let kernel = report.kernel.expect("a kernel");
        assert_eq!(kernel.missing_modules, ["fou", "nf_tables"]);
    }
}

#[test]
fn another_active_router_is_named_with_the_time_since_when() {
    let mut case = settled(web_director(&json!({})));
    let mut active = router("default", RouterState::Active);
    let since = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_500);
    active.split_brain = Some(crate::vrrp::SplitBrain {
        peer: [192, 168, 1, 130].into(),
        since,
    });
    case.vrrp.routers.push(active);
    let split = case.report().instances.remove(0).split_brain;
    let split = split.expect("a split");
    assert_eq!(split.peer, "192.168.1.130");
    assert_eq!(split.since.0.to_string(), "1970-01-01T00:00:01Z");
}

#[test]
fn what_is_wrong_with_the_hook_and_with_the_watchdog_is_told_together() {
    let mut case = settled(web_director(&json!({})));
    case.vrrp.watchdog_problem = Some("watchdog /dev/watchdog: in use".into());
    assert_eq!(case.report().fencing, None, "without fencing there is none");
    case.fencing = Some(FencingReport::default());
    let problem = |case: &Case| case.report().fencing.expect("fencing").problem;
    let watchdog = "watchdog /dev/watchdog: in use";
    assert_eq!(problem(&case).as_deref(), Some(watchdog));
    case.fencing = Some(FencingReport {
        problem: Some("hook fence: missing".into()),
        last: None,
    });
    let both = format!("hook fence: missing; {watchdog}");
    assert_eq!(problem(&case), Some(both));
    case.vrrp.watchdog_problem = None;
    assert_eq!(problem(&case).as_deref(), Some("hook fence: missing"));
    // An object without a field would be written as null, which the API refuses.
    case.fencing = Some(FencingReport::default());
    assert_eq!(case.report().fencing, None);
}
