//! A device of a test: its key, its id, and what it signs. Written after the protocol's text, not after the product's
//! code, so that the two can disagree.

use ed25519_dalek::{Signer, SigningKey};

/// A device's key.
#[derive(Clone)]
pub struct Key {
    key: SigningKey,
}

impl Key {
    /// The key of the n-th device of a test.
    pub fn new(number: u8) -> Self {
        Key::from_seed([number ^ 0x5a; 32])
    }

    /// The key of this seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Key { key: SigningKey::from_bytes(&seed) }
    }

    /// `device.id`
    pub fn id(&self) -> String {
        schemas::device::device_id(&self.raw())
    }

    /// `device.publicKey`
    pub fn public(&self) -> String {
        schemas::device::encode_key(&self.raw())
    }

    /// The raw public key.
    pub fn raw(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// `device.signature` of a text.
    pub fn sign(&self, text: &str) -> String {
        schemas::device::encode_signature(&self.key.sign(text.as_bytes()).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of both protocol texts.
    #[test]
    fn signs_what_the_protocol_text_signs() {
        let key = Key::from_seed(std::array::from_fn(|byte| byte as u8));
        let id = "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c";
        assert_eq!((key.id().as_str(), key.public().as_str()), (id, "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"));
        let nonce = "3f1c2b7e-9f60-4a55-8d0a-5b6c7d8e9f01";
        let cli = "cli|cli|operator|operator.admin,operator.approvals,operator.pairing|1737264000000|shared-secret";
        for (text, signature) in [
            (
                format!("v2|{id}|{cli}|{nonce}"),
                "hNCX8rZtsZjJ_A2SMOtWQPWXx5JPy_oz6AjOtTABXZl1Y6E-eTfw8L9sYt-h4QN6w6whAGJ_PG5styn0PldBAA",
            ),
            (
                format!("v1|{id}|{cli}"),
                "_d7_5JK_8RCuEfs9xtucKr34JIdXZjRKebnw75-boG7R9mENcMja0XHaZF8Za1FaJJ6PsVEJPLr_B621tHiPAA",
            ),
            (
                format!("v2|{id}|node-host|node|node||1737264000000||{nonce}"),
                "dCBLUQ0SaDsT90fbuyAYqEFaY4lGSISoK2oyonR4Nu3zUqp3Ilf8-79jatnz22fUwx3suqK1OIVaZ9OhRHZEBw",
            ),
            (
                format!("v3|{id}|cli|cli|operator|operator.read|1737264000000|shared-secret|{nonce}|linux|linux"),
                "a64C8PVwahmuvARKdIWvqluABy2e7mWtI5BQBtMSk4BzIM2o5gE6fPse1uJUX3RApaspUvhSowCgG0YkZZPABQ",
            ),
        ] {
            assert_eq!(key.sign(&text), signature, "{text}");
        }
    }
}
