//! Encodings of attribute values.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, ErrorContext as _, Nla, NlaBuffer, NlasIterator, Parseable,
};

/// A value on its way to the wire. Numbers are in the machine's byte order unless `Be`.
pub(super) enum Value<'a> {
    U8(u8),
    U16(u16),
    Be16(u16),
    U32(u32),
    U64(u64),
    Bytes(&'a [u8]),
    /// Two numbers, one after the other.
    U32Pair(u32, u32),
    /// Text, ended by a NUL (`NLA_NUL_STRING`).
    Text(&'a str),
    Nest(Box<dyn Emitable + 'a>),
    Raw(&'a DefaultNla),
}

impl<'a> Value<'a> {
    pub(super) fn nest<T: Nla>(attributes: &'a [T]) -> Self {
        Self::Nest(Box::new(attributes))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::U8(_) => 1,
            Self::U16(_) | Self::Be16(_) => 2,
            Self::U32(_) => 4,
            Self::U64(_) | Self::U32Pair(..) => 8,
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len() + 1,
            Self::Nest(attributes) => attributes.buffer_len(),
            Self::Raw(raw) => raw.value_len(),
        }
    }

    /// Writes the value to `buffer`, which is [`Value::len`] long.
    pub(super) fn emit(&self, buffer: &mut [u8]) {
        match self {
            Self::U8(value) => put(buffer, &[*value]),
            Self::U16(value) => put(buffer, &value.to_ne_bytes()),
            Self::Be16(value) => put(buffer, &value.to_be_bytes()),
            Self::U32(value) => put(buffer, &value.to_ne_bytes()),
            Self::U64(value) => put(buffer, &value.to_ne_bytes()),
            Self::Bytes(bytes) => put(buffer, bytes),
            Self::U32Pair(first, second) => {
                let bytes: Vec<u8> = first
                    .to_ne_bytes()
                    .into_iter()
                    .chain(second.to_ne_bytes())
                    .collect();
                put(buffer, &bytes);
            }
            Self::Text(text) => {
                buffer.fill(0);
                put(buffer, text.as_bytes());
            }
            Self::Nest(attributes) => attributes.emit(buffer),
            Self::Raw(raw) => raw.emit_value(buffer),
        }
    }
}

fn put(buffer: &mut [u8], bytes: &[u8]) {
    for (to, from) in buffer.iter_mut().zip(bytes) {
        *to = *from;
    }
}

/// Exactly `N` bytes.
pub(super) fn parse_bytes<const N: usize>(value: &[u8]) -> Result<[u8; N], DecodeError> {
    value
        .try_into()
        .map_err(|_wrong_length| DecodeError::invalid_number(N, value.len()))
}

/// Text up to the first NUL.
pub(super) fn parse_text(value: &[u8]) -> Result<String, DecodeError> {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8(text.to_vec())?)
}

/// An attribute that this crate does not know, as it is.
pub(super) fn parse_unknown(attribute: &NlaBuffer<&[u8]>) -> Result<DefaultNla, DecodeError> {
    if attribute.nested_flag() && attribute.network_byte_order_flag() {
        let kind = attribute.kind();
        return Err(format!("attribute {kind} is both a nest and in network byte order, which linux/netlink.h excludes").into());
    }
    DefaultNla::parse(attribute)
}

/// All attributes in `bytes`. `what` names the place for errors.
pub(super) fn parse_attributes<T>(bytes: &[u8], what: &'static str) -> Result<Vec<T>, DecodeError>
where
    T: for<'a> Parseable<NlaBuffer<&'a [u8]>>,
{
    // Dumps consist of nests of dozens of small attributes: most take 8 bytes.
    let mut attributes = Vec::with_capacity(bytes.len() / 8);
    for attribute in decode_attributes(bytes) {
        attributes.push(attribute.context(what)?);
    }
    Ok(attributes)
}

/// The attributes in `bytes`, one by one.
pub(crate) fn decode_attributes<'a, T>(
    bytes: &'a [u8],
) -> impl Iterator<Item = Result<T, DecodeError>> + use<'a, T>
where
    T: for<'b> Parseable<NlaBuffer<&'b [u8]>>,
{
    NlasIterator::new(bytes).map(|attribute| T::parse(&attribute?))
}
