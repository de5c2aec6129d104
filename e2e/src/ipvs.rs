//! A director's table as `ipvsadm -Ln` prints it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

/// A virtual service of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Scheduler, flags and persistence: the rest of its line.
    pub options: String,
    /// Real servers by `ADDRESS:PORT`.
    pub servers: BTreeMap<String, Server>,
}

/// A real server of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `Route`, `Masq`, `Tunnel` or `Local`.
    pub forwarding: String,
    /// Weight.
    pub weight: u32,
    /// Connections in state ESTABLISHED.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
}

/// Virtual services by `PROTOCOL ADDRESS:PORT` or `FWM MARK`.
pub type Table = BTreeMap<String, Service>;

/// Reads what `ipvsadm -Ln` prints.
///
/// # Errors
/// When a line has another form than `ipvsadm(8)` gives it.
pub fn parse(text: &str) -> Result<Table> {
    let mut table = Table::new();
    let mut current = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["TCP" | "UDP" | "SCTP" | "FWM", address, options @ ..] => {
                let key = format!("{} {address}", words.first().copied().unwrap_or_default());
                let service = Service {
                    options: options.join(" "),
                    ..Service::default()
                };
                table.insert(key.clone(), service);
                current = Some(key);
            }
            ["->", "RemoteAddress:Port", ..] | [] => {}
            ["->", address, forwarding, weight, active, inactive] => {
                let number = |word: &&str| {
                    word.parse()
                        .with_context(|| format!("{word:?} in the line {line:?}"))
                };
                let server = Server {
                    forwarding: (*forwarding).to_owned(),
                    weight: number(weight)?,
                    active: number(active)?,
                    inactive: number(inactive)?,
                };
                current
                    .as_ref()
                    .and_then(|key| table.get_mut(key))
                    .with_context(|| format!("no virtual service before the line {line:?}"))?
                    .servers
                    .insert((*address).to_owned(), server);
            }
            _ => {}
        }
    }
    Ok(table)
}

/// Figures of a virtual service, or of one of its real servers.
pub type Figures = BTreeMap<(String, Option<String>), Vec<u64>>;

/// Reads the figures that `ipvsadm -Ln` prints with `--stats`, `--rate`, `--thresholds` or `--persistent-conn`, in
/// the order of their columns. `--exact` must be given with the first two.
#[must_use]
pub fn figures(text: &str) -> Figures {
    let mut figures = Figures::new();
    let mut service = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers = |words: &[&str]| words.iter().filter_map(|word| word.parse().ok()).collect();
        match words.as_slice() {
            [kind @ ("TCP" | "UDP" | "SCTP" | "FWM"), address, rest @ ..] => {
                service = format!("{kind} {address}");
                figures.insert((service.clone(), None), numbers(rest));
            }
            ["->", "RemoteAddress:Port", ..] => {}
            ["->", address, rest @ ..] => {
                let key = (service.clone(), Some((*address).to_owned()));
                figures.insert(key, numbers(rest));
            }
            _ => {}
        }
    }
    figures
}

/// Weight of a real server; `None` when the service or the server is not in the table.
#[must_use]
pub fn weight(table: &Table, service: &str, server: &str) -> Option<u32> {
    Some(table.get(service)?.servers.get(server)?.weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.168.1.222:80 wlc persistent 50
  -> 192.168.1.130:80             Route   1      3          12
  -> 192.168.1.131:80             Route   0      0          4
TCP  [fd00::1]:443 rr
";

    #[test]
    fn reads_services_and_servers() {
        let table = parse(LISTING).unwrap();
        assert_eq!(table.len(), 2);
        assert_eq!(table["TCP 192.168.1.222:80"].options, "wlc persistent 50");
        assert_eq!(
            weight(&table, "TCP 192.168.1.222:80", "192.168.1.131:80"),
            Some(0)
        );
        assert_eq!(
            table["TCP 192.168.1.222:80"].servers["192.168.1.130:80"].inactive,
            12
        );
        assert!(table["TCP [fd00::1]:443"].servers.is_empty());
    }

    const STATISTICS: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  192.168.1.222:80                   12       72       60     4000     9000
  -> 192.168.1.130:80                    7       42       35     2000     5000
FWM  99                                  0        0        0        0        0
";

    #[test]
    fn reads_figures_of_services_and_servers() {
        let figures = figures(STATISTICS);
        let web = || "TCP 192.168.1.222:80".to_owned();
        assert_eq!(figures.len(), 3);
        assert_eq!(figures[&(web(), None)], [12, 72, 60, 4000, 9000]);
        assert_eq!(
            figures[&(web(), Some("192.168.1.130:80".to_owned()))],
            [7, 42, 35, 2000, 5000]
        );
        assert_eq!(figures[&("FWM 99".to_owned(), None)], [0; 5]);
    }

    #[test]
    fn a_server_without_a_service_is_an_error() {
        assert!(parse("  -> 192.168.1.130:80 Route 1 0 0").is_err());
    }
}
