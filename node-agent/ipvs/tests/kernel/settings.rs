//! Timeouts and facts.

use lvs_ipvs::{Command, Timeouts};

use crate::{apply, fresh, run};

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn timeouts_of_zero_stay_as_they_are() {
    let mut client = fresh();
    let before = client.timeouts().expect("timeouts");
    let wanted = Timeouts {
        tcp_seconds: 800,
        tcp_fin_seconds: 0,
        udp_seconds: 200,
    };
    apply(&mut client, &[Command::SetTimeouts(wanted)]);
    let after = client.timeouts().expect("timeouts");
    assert_eq!(
        after,
        Timeouts {
            tcp_fin_seconds: before.tcp_fin_seconds,
            ..wanted
        }
    );
    assert_eq!(
        run("ipvsadm", &["-L", "--timeout"]).trim(),
        format!("Timeout (tcp tcpfin udp): {after}")
    );
}

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn info_is_the_head_of_ipvsadms_listing() {
    let mut client = fresh();
    let info = client.info().expect("info");
    let listing = run("ipvsadm", &["-Ln"]);
    assert_eq!(
        listing.lines().next(),
        Some(format!("IP Virtual Server version {info}").as_str())
    );
}
