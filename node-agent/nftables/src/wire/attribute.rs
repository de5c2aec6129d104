//! Attributes: type, length and value, padded to four bytes.

use netlink_packet_core::{DecodeError, NLA_F_NESTED, NLA_TYPE_MASK, NlasIterator};

/// Length of an attribute's header.
const HEADER_BYTES: usize = 4;

/// Writes attributes one after another.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An attribute. Values are at most 65,531 bytes long: the caller splits what may be longer.
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + HEADER_BYTES).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// A number, in network byte order as all of `nf_tables`' are.
    pub(super) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// A string, ended by a NUL.
    pub(super) fn string(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// Attributes in an attribute.
    pub(super) fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        write(&mut inner);
        self.put(kind | NLA_F_NESTED, &inner.bytes)
    }

    /// Attributes that are encoded already.
    pub(super) fn append(&mut self, attributes: &[u8]) {
        self.bytes.extend(attributes);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Attributes that were read; of several with the same number the last one counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// All attributes in their order: numbers without flags, and values.
    pub(super) fn iter(self) -> impl Iterator<Item = Result<(u16, &'a [u8]), DecodeError>> {
        let mut rest = self.bytes;
        NlasIterator::new(self.bytes).map(move |attribute| {
            let attribute = attribute?;
            let length = usize::from(attribute.length());
            let value = rest
                .get(HEADER_BYTES..length)
                .ok_or_else(|| DecodeError::from("attribute ends early"))?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            Ok((attribute.kind() & NLA_TYPE_MASK, value))
        })
    }

    pub(super) fn get(self, kind: u16) -> Result<Option<&'a [u8]>, DecodeError> {
        let mut found = None;
        for attribute in self.iter() {
            let (number, value) = attribute?;
            if number == kind {
                found = Some(value);
            }
        }
        Ok(found)
    }

    pub(super) fn number(self, kind: u16) -> Result<Option<u32>, DecodeError> {
        self.get(kind)?
            .map(|value| match value {
                [a, b, c, d] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
                _ => Err(format!(
                    "attribute {kind}: {} bytes instead of the 4 of a number",
                    value.len()
                )
                .into()),
            })
            .transpose()
    }

    pub(super) fn string(self, kind: u16) -> Result<Option<String>, DecodeError> {
        Ok(self.get(kind)?.map(|value| {
            let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        }))
    }

    pub(super) fn nested(self, kind: u16) -> Result<Option<Self>, DecodeError> {
        Ok(self.get(kind)?.map(Self::new))
    }

    /// What an object cannot do without.
    pub(super) fn required<T>(value: Option<T>, name: &'static str) -> Result<T, DecodeError> {
        value.ok_or_else(|| format!("no {name}").into())
    }

    pub(super) const fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}
