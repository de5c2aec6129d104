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

    #[test]
    fn a_server_without_a_service_is_an_error() {
        assert!(parse("  -> 192.168.1.130:80 Route 1 0 0").is_err());
    }
}
