//! Expressions of rules, and data.

use netlink_packet_core::DecodeError;

use super::attribute::{Reader, Writer};
use super::uapi::{
    NFTA_CMP_DATA, NFTA_CMP_OP, NFTA_CMP_SREG, NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_EXPR_DATA,
    NFTA_EXPR_NAME, NFTA_IMMEDIATE_DATA, NFTA_IMMEDIATE_DREG, NFTA_LOOKUP_DREG, NFTA_LOOKUP_SET,
    NFTA_LOOKUP_SREG, NFTA_META_DREG, NFTA_META_KEY, NFTA_META_SREG, NFTA_PAYLOAD_BASE,
    NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_LEN, NFTA_PAYLOAD_OFFSET, NFTA_VERDICT_CHAIN,
    NFTA_VERDICT_CODE,
};
use crate::table::{Data, Expression, Register, Verdict};

/// Names of expressions in messages.
mod name {
    pub(super) const META: &str = "meta";
    pub(super) const PAYLOAD: &str = "payload";
    pub(super) const COMPARE: &str = "cmp";
    pub(super) const LOOKUP: &str = "lookup";
    pub(super) const IMMEDIATE: &str = "immediate";
}

/// The name and the attributes of an expression.
pub(super) fn write(writer: &mut Writer, expression: &Expression) {
    let mut data = Writer::default();
    let name = match expression {
        Expression::Meta { key, into } => {
            data.number(NFTA_META_KEY, *key)
                .number(NFTA_META_DREG, into.number());
            name::META
        }
        Expression::SetMeta { key, from } => {
            data.number(NFTA_META_KEY, *key)
                .number(NFTA_META_SREG, from.number());
            name::META
        }
        Expression::Payload {
            base,
            offset,
            length,
            into,
        } => {
            data.number(NFTA_PAYLOAD_DREG, into.number())
                .number(NFTA_PAYLOAD_BASE, *base)
                .number(NFTA_PAYLOAD_OFFSET, *offset)
                .number(NFTA_PAYLOAD_LEN, *length);
            name::PAYLOAD
        }
        Expression::Compare {
            register,
            operation,
            value,
        } => {
            data.number(NFTA_CMP_SREG, register.number())
                .number(NFTA_CMP_OP, *operation)
                .nest(NFTA_CMP_DATA, |data| {
                    data.put(NFTA_DATA_VALUE, value);
                });
            name::COMPARE
        }
        Expression::Lookup { map, key, into } => {
            data.string(NFTA_LOOKUP_SET, map)
                .number(NFTA_LOOKUP_SREG, key.number());
            if let Some(into) = into {
                data.number(NFTA_LOOKUP_DREG, into.number());
            }
            name::LOOKUP
        }
        Expression::Immediate { into, data: value } => {
            data.number(NFTA_IMMEDIATE_DREG, into.number());
            data.nest(NFTA_IMMEDIATE_DATA, |data| write_data(data, value));
            name::IMMEDIATE
        }
        Expression::Other { name, bytes } => {
            writer
                .string(NFTA_EXPR_NAME, name)
                .nest(NFTA_EXPR_DATA, |data| data.append(bytes));
            return;
        }
    };
    writer
        .string(NFTA_EXPR_NAME, name)
        .nest(NFTA_EXPR_DATA, |nested| nested.append(&data.into_bytes()));
}

/// Reads an expression. What has other attributes than expected is [`Expression::Other`].
pub(super) fn read(attributes: Reader<'_>) -> Result<Expression, DecodeError> {
    let name = Reader::required(
        attributes.string(NFTA_EXPR_NAME)?,
        "name of the expression (NFTA_EXPR_NAME)",
    )?;
    let data = attributes
        .nested(NFTA_EXPR_DATA)?
        .unwrap_or(Reader::new(&[]));
    Ok(
        read_known(&name, data)?.unwrap_or_else(|| Expression::Other {
            name,
            bytes: data.bytes().to_vec(),
        }),
    )
}

fn read_known(name: &str, data: Reader<'_>) -> Result<Option<Expression>, DecodeError> {
    let register =
        |kind| -> Result<_, DecodeError> { Ok(data.number(kind)?.map(Register::from_number)) };
    let expression = match name {
        name::META => {
            let key = data.number(NFTA_META_KEY)?;
            match (key, register(NFTA_META_DREG)?, register(NFTA_META_SREG)?) {
                (Some(key), Some(into), None) => Some(Expression::Meta { key, into }),
                (Some(key), None, Some(from)) => Some(Expression::SetMeta { key, from }),
                _ => None,
            }
        }
        name::PAYLOAD => match (
            register(NFTA_PAYLOAD_DREG)?,
            data.number(NFTA_PAYLOAD_BASE)?,
            data.number(NFTA_PAYLOAD_OFFSET)?,
            data.number(NFTA_PAYLOAD_LEN)?,
        ) {
            (Some(into), Some(base), Some(offset), Some(length)) => Some(Expression::Payload {
                base,
                offset,
                length,
                into,
            }),
            // Without a register to take them it writes bytes into the packet.
            _ => None,
        },
        name::COMPARE => {
            let value = data.nested(NFTA_CMP_DATA)?.map(read_data).transpose()?;
            match (register(NFTA_CMP_SREG)?, data.number(NFTA_CMP_OP)?, value) {
                (Some(register), Some(operation), Some(Data::Value(value))) => {
                    Some(Expression::Compare {
                        register,
                        operation,
                        value,
                    })
                }
                _ => None,
            }
        }
        name::LOOKUP => match (data.string(NFTA_LOOKUP_SET)?, register(NFTA_LOOKUP_SREG)?) {
            (Some(map), Some(key)) => Some(Expression::Lookup {
                map,
                key,
                into: register(NFTA_LOOKUP_DREG)?,
            }),
            _ => None,
        },
        name::IMMEDIATE => {
            let value = data
                .nested(NFTA_IMMEDIATE_DATA)?
                .map(read_data)
                .transpose()?;
            match (register(NFTA_IMMEDIATE_DREG)?, value) {
                (Some(into), Some(data)) => Some(Expression::Immediate { into, data }),
                _ => None,
            }
        }
        _ => None,
    };
    Ok(expression)
}

/// A value or a verdict.
pub(super) fn write_data(writer: &mut Writer, data: &Data) {
    match data {
        Data::Value(value) => {
            writer.put(NFTA_DATA_VALUE, value);
        }
        Data::Verdict(Verdict { code, chain }) => {
            writer.nest(NFTA_DATA_VERDICT, |verdict| {
                verdict.put(NFTA_VERDICT_CODE, &code.to_be_bytes());
                if let Some(chain) = chain {
                    verdict.string(NFTA_VERDICT_CHAIN, chain);
                }
            });
        }
    }
}

/// A value, a verdict, or an empty value if it is neither.
pub(super) fn read_data(attributes: Reader<'_>) -> Result<Data, DecodeError> {
    if let Some(verdict) = attributes.nested(NFTA_DATA_VERDICT)? {
        let code = Reader::required(
            verdict.number(NFTA_VERDICT_CODE)?,
            "code of the verdict (NFTA_VERDICT_CODE)",
        )?;
        return Ok(Data::Verdict(Verdict {
            code: code.cast_signed(),
            chain: verdict.string(NFTA_VERDICT_CHAIN)?,
        }));
    }
    let value = attributes.get(NFTA_DATA_VALUE)?.unwrap_or_default();
    Ok(Data::Value(value.to_vec()))
}
