//! The table that is programmed, and a look at the kernel's that costs the same whoever programs it.

use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt as _;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// Where the kernel shows its table.
const PROC: &str = "/proc/net/ip_vs";
/// Lines of title before the table.
const TITLE_LINES: usize = 3;
/// Port of all services.
pub(crate) const PORT: u16 = 80;

/// How many services with how many servers each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) services: u32,
    pub(crate) servers: u32,
}

impl Size {
    pub(crate) const fn new(services: u32, servers: u32) -> Self {
        Self { services, servers }
    }

    pub(crate) const fn destinations(self) -> u32 {
        self.services * self.servers
    }

    /// Address of a virtual service.
    pub(crate) fn vip(service: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 1).to_bits() + service)
    }

    /// Address of a server of a pool.
    pub(crate) fn server(self, pool: u32, server: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(Ipv4Addr::new(10, 64, 0, 1).to_bits() + pool * self.servers + server)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.services, self.servers)
    }
}

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (services, servers) = text.split_once(" × ").context("SERVICES × SERVERS")?;
        Ok(Self::new(services.parse()?, servers.parse()?))
    }
}

/// Waits until the table has as many lines as it should. The look itself costs milliseconds at ten thousand lines and
/// seconds at a hundred thousand, so it takes a third of the time at most, from everyone alike.
pub(crate) fn wait_complete(size: Size, start: Instant, within: Duration) -> Result<f64> {
    let expected = usize::try_from(size.services + size.destinations())?;
    loop {
        let look = Instant::now();
        let lines = lines()?;
        let elapsed = start.elapsed();
        if lines == expected {
            return Ok(elapsed.as_secs_f64());
        }
        ensure!(
            elapsed < within,
            "the table has {lines} lines of {expected} after {elapsed:?}"
        );
        sleep(Duration::from_millis(100).max(look.elapsed() * 2));
    }
}

fn lines() -> Result<usize> {
    let mut file = File::open(PROC)?;
    let mut buffer = vec![0; 256 * 1024];
    let mut lines = 0_usize;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(lines.saturating_sub(TITLE_LINES));
        }
        lines += buffer
            .iter()
            .take(count)
            .filter(|byte| **byte == b'\n')
            .count();
    }
}

/// The destination that the kernel lists first: to look at it costs one read of one page.
#[derive(Debug)]
pub(crate) struct First {
    file: File,
    /// Number of its service.
    pub(crate) service: u32,
    /// Number of its server.
    pub(crate) server: u32,
}

impl First {
    /// Of a table whose services share `pools`.
    pub(crate) fn find(size: Size, pools: u32) -> Result<Self> {
        let file = File::open(PROC)?;
        let text = page(&file)?;
        let mut lines = text.lines().skip(TITLE_LINES);
        let address = |line: Option<&str>, field: usize| -> Result<u32> {
            let text = line
                .and_then(|line| line.split_whitespace().nth(field))
                .and_then(|endpoint| endpoint.split(':').next())
                .context("an empty table")?;
            Ok(u32::from_str_radix(text, 16)?)
        };
        let service = address(lines.next(), 1)? - Size::vip(0).to_bits();
        let server = address(lines.next(), 1)? - size.server(service % pools, 0).to_bits();
        Ok(Self {
            file,
            service,
            server,
        })
    }

    /// Waits until it has this weight.
    pub(crate) fn wait_weight(&self, weight: u32, start: Instant, within: Duration) -> Result<f64> {
        loop {
            let text = page(&self.file)?;
            // Whoever programs it may have taken the table down for a while.
            let shown = text
                .lines()
                .nth(TITLE_LINES + 1)
                .and_then(|line| line.split_whitespace().nth(3))
                .unwrap_or("none");
            let elapsed = start.elapsed();
            if shown == weight.to_string() {
                return Ok(elapsed.as_secs_f64());
            }
            ensure!(
                elapsed < within,
                "the weight is {shown}, not {weight}, after {elapsed:?}"
            );
            sleep(Duration::from_micros(500));
        }
    }
}

/// The beginning of the table: the title and the first service, which come by one read each when the service is
/// longer than a page.
fn page(file: &File) -> Result<String> {
    let mut text = String::new();
    while text.lines().count() < TITLE_LINES + 2 {
        let mut buffer = vec![0; 64 * 1024];
        let count = file.read_at(&mut buffer, u64::try_from(text.len())?)?;
        if count == 0 {
            break;
        }
        buffer.truncate(count);
        text.push_str(std::str::from_utf8(&buffer)?);
    }
    Ok(text)
}

/// Resident memory of the processes with this name, in MiB.
pub(crate) fn resident_mib(program: &str) -> Result<f64> {
    let mut kib = 0.0;
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Ok(status) = fs::read_to_string(path.join("status")) else {
            continue;
        };
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        // The kernel keeps 15 characters of a name.
        let shown: String = program.chars().take(15).collect();
        if field("Name:") == Some(&shown) {
            let text = field("VmRSS:").and_then(|text| text.strip_suffix(" kB"));
            kib += text.unwrap_or("0").parse::<f64>()?;
        }
    }
    ensure!(kib > 0.0, "{program} does not run");
    Ok(kib / 1024.0)
}
