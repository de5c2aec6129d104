//! Formats of strings: bounds, patterns and rules that many fields share.
//!
//! The fields are plain `String`s in Rust, because the API server has done the checking; a field
//! takes a format's schema by `#[schemars(with = "format::NAME")]`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Defines a type that exists for its schema alone.
macro_rules! string_format {
    ($(#[$doc:meta])* $name:ident, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

const IS_IP: &str = "isIP(self)";
const IS_IP_MESSAGE: &str = r#""'" + self + "' is not an IP address: write one IPv4 or IPv6 address without a prefix length, for example 192.0.2.10 or 2001:db8::10""#;
const IS_CANONICAL: &str = "!isIP(self) || ip.isCanonical(self)";
const IS_CANONICAL_MESSAGE: &str = r#""'" + self + "' is not in canonical form (RFC 5952): write lower case, no leading zeros and :: for the longest run of zeros, for example 2001:db8::10""#;

string_format!(
    /// Unicast address of a host or a VIP, in canonical form. IPv6 link-local addresses are not
    /// among them: they mean nothing without an interface.
    HostAddress,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 45,
        "x-kubernetes-validations": [
            {"rule": IS_IP, "messageExpression": IS_IP_MESSAGE},
            {"rule": IS_CANONICAL, "messageExpression": IS_CANONICAL_MESSAGE},
            {
                "rule": "!isIP(self) || ip(self).isGlobalUnicast() || (ip(self).family() == 4 && ip(self).isLinkLocalUnicast())",
                "messageExpression": r#""'" + self + "' is not a unicast address that other hosts can reach: an address that is unspecified, loopback, multicast, broadcast or IPv6 link-local cannot be used here; write for example 192.0.2.10 or 2001:db8::10""#,
            },
        ],
    }
);

string_format!(
    /// [`HostAddress`], or a loopback address for the director itself.
    ServerAddress,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 45,
        "x-kubernetes-validations": [
            {"rule": IS_IP, "messageExpression": IS_IP_MESSAGE},
            {"rule": IS_CANONICAL, "messageExpression": IS_CANONICAL_MESSAGE},
            {
                "rule": "!isIP(self) || ip(self).isLoopback() || ip(self).isGlobalUnicast() || (ip(self).family() == 4 && ip(self).isLinkLocalUnicast())",
                "messageExpression": r#""'" + self + "' is not a unicast address of a host: an address that is unspecified, multicast, broadcast or IPv6 link-local cannot be used here; write for example 192.0.2.10, 2001:db8::10 or 127.0.0.1""#,
            },
        ],
    }
);

string_format!(
    /// Unicast address on a link, in canonical form: also an IPv6 link-local one, which is what
    /// VRRP sends from (RFC 9568 section 5.1.2.1) and may own.
    LinkAddress,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 45,
        "x-kubernetes-validations": [
            {"rule": IS_IP, "messageExpression": IS_IP_MESSAGE},
            {"rule": IS_CANONICAL, "messageExpression": IS_CANONICAL_MESSAGE},
            {
                "rule": "!isIP(self) || ip(self).isGlobalUnicast() || ip(self).isLinkLocalUnicast()",
                "messageExpression": r#""'" + self + "' is not a unicast address: an address that is unspecified, loopback, multicast or broadcast cannot be used here; write for example 192.0.2.10 or fe80::10""#,
            },
        ],
    }
);

string_format!(
    /// Multicast group, IPv4 or IPv6.
    MulticastGroup,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 45,
        "x-kubernetes-validations": [
            {
                "rule": "isIP(self) && (cidr('224.0.0.0/4').containsIP(self) || cidr('ff00::/8').containsIP(self))",
                "messageExpression": r#""'" + self + "' is not a multicast group: write an address in 224.0.0.0/4 or ff00::/8, for example 224.0.0.81""#,
            },
        ],
    }
);

string_format!(
    /// Network in CIDR notation.
    Cidr,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 49,
        "x-kubernetes-validations": [
            {
                "rule": "isCIDR(self)",
                "messageExpression": r#""'" + self + "' is not a network in CIDR notation: write address/length, for example 192.168.1.0/24 or 2001:db8::/64""#,
            },
        ],
    }
);

string_format!(
    /// Name of a network interface: shorter than `IFNAMSIZ` (linux/if.h), without `/`, `:` and
    /// blanks (`dev_valid_name`), and without the `@` that `ip link` adds before a peer's name.
    InterfaceName,
    {"type": "string", "minLength": 1, "maxLength": 15, "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"}
);

string_format!(
    /// [`InterfaceName`], or empty for the default.
    OptionalInterfaceName,
    {"type": "string", "maxLength": 15, "pattern": "^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$"}
);

string_format!(
    /// Name of an object whose name is a DNS subdomain (RFC 1123): a Node, a Secret, a pair.
    ObjectName,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    }
);

string_format!(
    /// Name of an entry in a list: a DNS label (RFC 1123).
    EntryName,
    {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
);

string_format!(
    /// Name of a program in the directory of hooks: a file name that is not hidden.
    HookName,
    {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"}
);

string_format!(
    /// Name of a process as `ps -o comm` shows it: the kernel keeps 15 bytes (`TASK_COMM_LEN`,
    /// linux/sched.h). Printable ASCII without `/`: no path.
    ProcessName,
    {"type": "string", "minLength": 1, "maxLength": 15, "pattern": "^[!-.0-~]([ -.0-~]*[!-.0-~])?$"}
);

string_format!(
    /// Argument of a process.
    ProcessArgument,
    {"type": "string", "maxLength": 256}
);

string_format!(
    /// Value of a label.
    LabelValue,
    {"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"}
);

string_format!(
    /// Key within a Secret.
    SecretKey,
    {"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[-._a-zA-Z0-9]+$"}
);

string_format!(
    /// Text to send or to look for, with the escapes `\r`, `\n`, `\t`, `\\` and `\xHH`.
    EscapedText,
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "x-kubernetes-validations": [
            {
                "rule": r"self.matches('^([^\\\\]|\\\\[rnt\\\\]|\\\\x[0-9A-Fa-f][0-9A-Fa-f])*$')",
                "message": r"a backslash must begin one of the escapes \r, \n, \t, \\ and \xHH (two hexadecimal digits); write \\ for a backslash itself",
            },
        ],
    }
);

string_format!(
    /// Text of the machine-facing kinds: `namespace/name`, digests, versions.
    Token,
    {"type": "string", "maxLength": 512}
);
