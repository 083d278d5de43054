//! In the place of the network where this build has none: each question is answered by an error that says so.

use secrecy::SecretString;

use crate::error::Error;
use crate::error::HubFault;
use crate::error::Result;
use crate::hub::request::Patience;
use crate::hub::request::Request;
use crate::job::Job;

#[derive(Debug)]
pub(crate) struct Network {
    endpoint: String,
}

impl Network {
    pub(crate) fn new(endpoint: String, _: Patience) -> Self {
        Self { endpoint }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    #[expect(clippy::unused_async, reason = "the twin of the network that waits")]
    pub(crate) async fn download(&self, _: &Request<'_>, _: &Job) -> Result<String> {
        Err(absent())
    }

    #[expect(clippy::unused_async, reason = "the twin of the network that waits")]
    pub(crate) async fn owner_of(&self, _: &SecretString) -> Result<String> {
        Err(absent())
    }
}

fn absent() -> Error {
    let message = "this build has no hub; give the model a local path or build with the feature `hub`";
    Error::hub(HubFault::Offline, message)
}
