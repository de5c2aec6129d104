use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const LONG: Duration = Duration::from_secs(10);

/// Whether this process may open raw sockets. Where it may not, the one thing to test is what the
/// probe then says.
fn may_open_raw_sockets() -> bool {
    Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).is_ok()
}

#[tokio::test]
async fn localhost_answers_every_ping_of_many() {
    let pinger = Arc::new(Pinger::default());
    for localhost in [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ] {
        let mut pings = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let pinger = Arc::clone(&pinger);
            pings.spawn(async move { pinger.run(localhost, LONG).await });
        }
        let results = pings.join_all().await;
        if may_open_raw_sockets() {
            assert_eq!(results, vec![Ok(()); 50], "{localhost}");
        } else {
            assert!(
                results
                    .iter()
                    .all(|result| result.as_ref().is_err_and(Failure::is_local))
            );
        }
    }
    for cell in [&pinger.v4, &pinger.v6] {
        let left = cell
            .get()
            .map_or(0, |socket| lock(&socket.waiting).replies.len());
        assert_eq!(left, 0, "pings that nobody waits for are forgotten");
    }
}

#[tokio::test]
async fn a_ping_without_reply_ends_and_is_forgotten() {
    if !may_open_raw_sockets() {
        return;
    }
    let pinger = Pinger::default();
    // A receiver that is gone hears no reply.
    pinger.run(Ipv4Addr::LOCALHOST.into(), LONG).await.unwrap();
    let socket = pinger.v4.get().unwrap();
    socket.receiver.abort();
    let time = Duration::from_millis(50);
    let result = pinger.run(Ipv4Addr::LOCALHOST.into(), time).await;
    assert_eq!(result, Err(Failure::NoAnswer(time)));
    assert!(lock(&socket.waiting).replies.is_empty());
}
