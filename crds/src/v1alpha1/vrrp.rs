//! How directors elect the one that owns the VIPs (RFC 9568; version 2: RFC 3768).

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Track, format};

/// What a Backup Router with a higher priority than the Active Router does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PreemptionMode {
    /// It stays Backup: VIPs do not move back when a preferred director returns.
    #[default]
    Never,
    /// It takes over, after `delaySeconds`.
    Immediate,
    /// It takes over once it has been told of the connections that the Active Router has, and after
    /// `delaySeconds` from then on.
    AfterSync,
}

/// Preemption (RFC 9568 section 6.1, `Preempt_Mode`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode != 'Never' || self.delaySeconds == 0")
        .message("delaySeconds delays a preemption and mode Never has none: set it to 0, or set mode to Immediate or AfterSync")
        .field_path(".delaySeconds"),
    validation = Rule::new("self.mode == 'AfterSync' || self.syncTimeoutSeconds == 120")
        .message("syncTimeoutSeconds ends the wait of mode AfterSync alone: remove it, or set mode to AfterSync")
        .field_path(".syncTimeoutSeconds")
)]
pub struct Preemption {
    /// Whether a director with a higher priority takes over from an Active Router.
    #[serde(default)]
    pub mode: PreemptionMode,
    /// Seconds that a director waits after its start before it preempts, 0 to 1000.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub delay_seconds: i32,
    /// Seconds after which a director with mode `AfterSync` no longer waits for the connections, 15 to
    /// 3600.
    #[serde(default = "default_sync_timeout")]
    #[schemars(range(min = 15, max = 3600))]
    pub sync_timeout_seconds: i32,
}

impl Default for Preemption {
    fn default() -> Self {
        Self {
            mode: PreemptionMode::default(),
            delay_seconds: 0,
            sync_timeout_seconds: default_sync_timeout(),
        }
    }
}

fn default_sync_timeout() -> i32 {
    120
}

/// Kind of authentication of advertisements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AuthenticationType {
    /// None, as RFC 9568 has it.
    #[default]
    None,
    /// Simple text password of version 2 (RFC 2338 section 10.2), as keepalived's `auth_type PASS`.
    /// It guards against mistakes, not against attackers.
    Simple,
    /// A trailer with an HMAC-SHA256 in every advertisement of either version, as keepalived's
    /// `auth_hmac`.
    HMACSHA256,
}

/// What keeps recorded advertisements from being sent again by somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AntiReplay {
    /// An advertisement's time must be the present, within a minute, and its number above the
    /// sender's last. The directors' clocks must agree.
    #[default]
    Time,
    /// An advertisement's number must be above the sender's last. A director that was just started
    /// knows none.
    Monotonic,
}

/// How far authentication has been introduced; the three in turn, each on all directors before the
/// next, introduce it without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AuthenticationMode {
    /// Advertisements are signed, and nothing else is accepted.
    #[default]
    Enforce,
    /// Advertisements are signed; those without a trailer are accepted too.
    Permissive,
    /// Advertisements are not signed; those without a trailer are accepted too.
    ReceiveOnly,
}

/// Names a Secret in the operator's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(with = "format::ObjectName")]
    pub name: String,
    /// Key of the password of type `Simple` within it; absent = `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::SecretKey>")]
    pub key: Option<String>,
}

impl SecretReference {
    /// Key of the password.
    #[must_use]
    pub fn password_key(&self) -> &str {
        self.key.as_deref().unwrap_or("password")
    }
}

/// The id of the HMAC key that stands under this key of a Secret: 1 to 255 in decimal digits; `None`
/// for any other.
#[must_use]
pub fn hmac_key_id(key: &str) -> Option<u8> {
    key.parse()
        .ok()
        .filter(|id: &u8| *id > 0 && id.to_string() == key)
}

/// Authentication of advertisements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'None' || has(self.secretRef)")
        .message("secretRef is required by types Simple and HMACSHA256: name a Secret in the operator's namespace that has the password or the keys")
        .field_path(".secretRef"),
    validation = Rule::new("self.type != 'None' || !has(self.secretRef)")
        .message("secretRef has no use with type None: remove it, or set type to Simple or HMACSHA256")
        .field_path(".secretRef"),
    validation = Rule::new("self.type != 'HMACSHA256' || !has(self.secretRef) || !has(self.secretRef.key)")
        .message("secretRef.key names the password of type Simple; the Secret of HMACSHA256 has its keys by their ids, 1 to 255: remove key")
        .field_path(".secretRef"),
    validation = Rule::new("(self.type == 'HMACSHA256') == has(self.activeKeyID)")
        .message("activeKeyID names the key that signs with type HMACSHA256, which requires it, and has no use with other types")
        .field_path(".activeKeyID"),
    validation = Rule::new("self.type == 'HMACSHA256' || (self.antiReplay == 'Time' && self.mode == 'Enforce')")
        .message("antiReplay and mode are for type HMACSHA256: remove them, or set type to HMACSHA256")
        .field_path(".mode")
)]
pub struct Authentication {
    /// Kind of authentication.
    #[serde(default, rename = "type")]
    pub type_: AuthenticationType,
    /// Secret with the password, at most 8 bytes are used, or with the HMAC keys: under each key id,
    /// `"1"` to `"255"`, 32 to 64 random bytes, for example 64 hexadecimal digits. Required by
    /// `Simple` and `HMACSHA256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Id of the HMAC key that signs, 1 to 255; all keys of the Secret are accepted. To change it, add a
    /// key to the Secret, set its id here, then remove the old key.
    #[serde(
        default,
        rename = "activeKeyID",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(range(min = 1, max = 255))]
    pub active_key_id: Option<i32>,
    /// What keeps recorded advertisements from being sent again.
    #[serde(default)]
    pub anti_replay: AntiReplay,
    /// How far HMAC authentication has been introduced.
    #[serde(default)]
    pub mode: AuthenticationMode,
}

/// How the checksum of a version 3 advertisement over IPv4 is made. Both are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Checksum {
    /// Over the VRRP message alone (RFC 9568 section 5.2.8).
    #[default]
    RFC9568,
    /// With an IPv4 pseudo-header, as keepalived sends unless told otherwise.
    PseudoHeader,
}

/// Gratuitous ARP for IPv4 VIPs, unsolicited Neighbor Advertisements for IPv6 VIPs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GratuitousArp {
    /// Packets per VIP in a burst, 1 to 100.
    #[serde(default = "default_count")]
    #[schemars(range(min = 1, max = 100))]
    pub count: i32,
    /// Seconds after becoming Active when the burst is repeated once, 0 to 3600; 0 = not.
    #[serde(default = "default_repeat_delay")]
    #[schemars(range(min = 0, max = 3600))]
    pub repeat_delay_seconds: i32,
    /// Seconds between single announcements while Active, 0 to 86400; 0 = none.
    #[serde(default = "default_refresh")]
    #[schemars(range(min = 0, max = 86400))]
    pub refresh_seconds: i32,
    /// Milliseconds between the packets of a burst, 0 to 10000.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10000))]
    pub interval_milliseconds: i32,
}

impl Default for GratuitousArp {
    fn default() -> Self {
        Self {
            count: default_count(),
            repeat_delay_seconds: default_repeat_delay(),
            refresh_seconds: default_refresh(),
            interval_milliseconds: 0,
        }
    }
}

fn default_count() -> i32 {
    5
}

fn default_repeat_delay() -> i32 {
    5
}

fn default_refresh() -> i32 {
    60
}

/// Whether VIPs have a MAC address of their own (RFC 9568 section 7.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum VirtualMac {
    /// A VIP has the MAC address of the director's interface; a failover announces another one.
    #[default]
    Disabled,
    /// The VIPs of an instance have the MAC address 00-00-5E-00-01-{VRID}, over IPv6
    /// 00-00-5E-00-02-{VRID}, on whichever director is Active, on a macvlan device of its own on each
    /// family. `net.ipv4.conf.INTERFACE.arp_ignore` of the interface below becomes 1, its `arp_announce` 2.
    Macvlan,
}

/// How advertisements reach the other directors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TransportMode {
    /// To the group of the protocol, 224.0.0.18 or `ff02::12`.
    #[default]
    Multicast,
    /// To each director by itself, for networks that carry no multicast. Nobody else is listened to. The
    /// addresses are those that the directors' agents report. Until they do: `directors[].sourceAddress`,
    /// or the only `InternalIP` of type IPv4 that a node has in the `subnet` of the instance's interface.
    Unicast,
}

/// How advertisements travel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.mode == 'Unicast' || self.minTTL == 255")
    .message("minTTL is for mode Unicast; by multicast nothing but 255 is accepted: remove it, or set mode to Unicast")
    .field_path(".minTTL"))]
pub struct Transport {
    /// How advertisements reach the other directors.
    #[serde(default)]
    pub mode: TransportMode,
    /// Least TTL or hop limit of what is received by unicast, 1 to 255: 255 accepts nothing that a
    /// router has forwarded, 254 what one has.
    #[serde(default = "default_min_ttl", rename = "minTTL")]
    #[schemars(range(min = 1, max = 255))]
    pub min_ttl: i32,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            mode: TransportMode::default(),
            min_ttl: default_min_ttl(),
        }
    }
}

fn default_min_ttl() -> i32 {
    255
}

/// VRRP settings of a pair, the same on all its directors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.version != 2 || self.advertisementIntervalMilliseconds % 1000 == 0")
        .message("advertisementIntervalMilliseconds must be whole seconds, a multiple of 1000, with version 2: change it, or set version to 3")
        .field_path(".advertisementIntervalMilliseconds"),
    validation = Rule::new("self.version == 2 || self.authentication.type != 'Simple'")
        .message("authentication.type Simple exists in version 2 alone: set version to 2, or type to None")
        .field_path(".authentication"),
    validation = Rule::new("self.version == 3 || self.checksum == 'RFC9568'")
        .message("checksum PseudoHeader is for version 3 over IPv4: remove it, or set version to 3")
        .field_path(".checksum"),
    validation = Rule::new("self.virtualMAC == 'Disabled' || self.transport.mode == 'Multicast'")
        .message("virtualMAC Macvlan needs transport.mode Multicast: a network that carries none does not carry virtual MAC addresses either; set one of the two back")
        .field_path(".virtualMAC")
)]
pub struct Vrrp {
    /// Protocol version, 2 or 3. IPv6 needs 3.
    #[serde(default = "default_version")]
    #[schemars(range(min = 2, max = 3))]
    pub version: i32,
    /// Milliseconds between advertisements, 10 to 40950, a multiple of 10; version 2: of 1000.
    #[serde(default = "default_advertisement_interval")]
    #[schemars(range(min = 10, max = 40950))]
    #[x_kube(validation = Rule::new("self % 10 == 0")
        .message("must be a multiple of 10: the protocol counts hundredths of a second"))]
    pub advertisement_interval_milliseconds: i32,
    /// Advertisements that may be missed before a Backup Router takes over, 2 to 10.
    #[serde(default = "default_down_advertisements")]
    #[schemars(range(min = 2, max = 10))]
    pub active_down_advertisements: i32,
    /// How advertisements travel.
    #[serde(default)]
    pub transport: Transport,
    /// Preemption.
    #[serde(default)]
    pub preemption: Preemption,
    /// Authentication.
    #[serde(default)]
    pub authentication: Authentication,
    /// Checksum of version 3 over IPv4.
    #[serde(default)]
    pub checksum: Checksum,
    /// Gratuitous ARP and unsolicited Neighbor Advertisements.
    #[serde(default, rename = "gratuitousARP")]
    pub gratuitous_arp: GratuitousArp,
    /// Whether VIPs have a MAC address of their own. When this is changed, VIPs are gone for as long as
    /// an election takes.
    #[serde(default, rename = "virtualMAC")]
    pub virtual_mac: VirtualMac,
    /// What every instance watches beside its peers, at most 32, key `name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub track: Vec<Track>,
}

impl Default for Vrrp {
    fn default() -> Self {
        Self {
            version: default_version(),
            advertisement_interval_milliseconds: default_advertisement_interval(),
            active_down_advertisements: default_down_advertisements(),
            transport: Transport::default(),
            preemption: Preemption::default(),
            authentication: Authentication::default(),
            checksum: Checksum::default(),
            gratuitous_arp: GratuitousArp::default(),
            virtual_mac: VirtualMac::default(),
            track: Vec::new(),
        }
    }
}

fn default_version() -> i32 {
    3
}

fn default_advertisement_interval() -> i32 {
    1000
}

fn default_down_advertisements() -> i32 {
    3
}
