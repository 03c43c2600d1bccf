//! What a record is bound to, as bytes.

/// The id of a store, from its clear header; proven by any slot that opens under it.
pub(crate) type StoreId = [u8; 16];

/// The address of a record, as bytes that are authenticated with it: a record opens only at the address that it was
/// sealed at. Different addresses must have different bytes.
pub(crate) trait Address {
    /// Appends the bytes.
    fn encode_into(&self, out: &mut Vec<u8>);
}

/// Room for the usual address, so that its buffer seldom grows: an org, an environment, an account and four ids.
pub(crate) const USUAL_LEN: usize = 224;

#[cfg(test)]
impl Address for Vec<u8> {
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}
