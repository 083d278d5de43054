//! The hub's token: whether there is one, setting, checking and removing it. It never appears itself.

use std::sync::Arc;

use inferkit::TokenStatus;
use poem_openapi::Object;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;
use secrecy::SecretString;
use serde::Deserialize;

use crate::app::App;
use crate::body::Body;
use crate::clock::rfc3339;
use crate::error::ApiError;
use crate::openapi::Tag;

/// `/api/admin/hf-token`.
pub struct TokenApi(pub(crate) Arc<App>);

/// The hub's token, without itself.
#[derive(Debug, Object)]
#[oai(rename = "HubToken")]
pub(crate) struct TokenView {
    /// Whether there is one.
    present: bool,
    /// `file`, or `env` where it cannot be changed here.
    source: String,
    /// Its ends.
    #[oai(nullable)]
    masked: Option<String>,
    /// Whether the hub knows it; null as long as the hub was not asked.
    #[oai(nullable)]
    verified: Option<bool>,
    /// Whose it is.
    #[oai(nullable)]
    user: Option<String>,
    /// When it was set.
    #[oai(nullable)]
    updated_at: Option<String>,
}

/// A token for the hub.
#[derive(Object, Deserialize)]
struct SetHubToken {
    /// 8 to 256 visible ASCII characters.
    token: String,
    /// Asks the hub before it is stored; true if left out.
    verify: Option<bool>,
}

impl From<&TokenStatus> for TokenView {
    fn from(token: &TokenStatus) -> Self {
        Self {
            present: token.present,
            source: token.source.as_str().to_owned(),
            masked: token.masked.clone(),
            verified: token.verified,
            user: token.user.clone(),
            updated_at: token.updated_at.map(rfc3339),
        }
    }
}

/// What an `hf_token` event holds.
pub(crate) fn token_json(app: &App) -> String {
    TokenView::from(&app.platform.hub.tokens().status()).to_json_string()
}

#[OpenApi]
impl TokenApi {
    /// Whether there is a hub token.
    ///
    /// The token itself is never told.
    #[oai(
        path = "/api/admin/hf-token",
        method = "get",
        operation_id = "getHfToken",
        tag = "Tag::Admin"
    )]
    async fn get(&self) -> Json<TokenView> {
        self.view()
    }

    /// Stores a hub token.
    ///
    /// A token that the hub refuses is not stored; a hub that is out of reach leaves it unverified.
    #[oai(
        path = "/api/admin/hf-token",
        method = "put",
        operation_id = "setHfToken",
        tag = "Tag::Admin"
    )]
    async fn set(&self, body: Body<SetHubToken>) -> poem::Result<Json<TokenView>> {
        let SetHubToken { token, verify } = body.0;
        let token = SecretString::from(token);
        let hub = &self.0.platform.hub;
        let stored = if verify.unwrap_or(true) {
            hub.set_verified_token(token).await
        } else {
            hub.tokens().set(token)
        };
        stored.map_err(|error| ApiError::from(error).for_token_action())?;
        Ok(self.view())
    }

    /// Removes the hub token.
    ///
    /// Also succeeds when there is none.
    #[oai(
        path = "/api/admin/hf-token",
        method = "delete",
        operation_id = "clearHfToken",
        tag = "Tag::Admin"
    )]
    async fn clear(&self) -> poem::Result<Json<TokenView>> {
        self.0.platform.hub.tokens().clear().map_err(ApiError::from)?;
        Ok(self.view())
    }

    /// Asks the hub whose token it is.
    ///
    /// The answer is kept in the token's status.
    #[oai(
        path = "/api/admin/hf-token/verify",
        method = "post",
        operation_id = "verifyHfToken",
        tag = "Tag::Admin"
    )]
    async fn verify(&self) -> poem::Result<Json<TokenView>> {
        let verified = self.0.platform.hub.verify_token().await;
        verified.map_err(|error| ApiError::from(error).for_token_action())?;
        Ok(self.view())
    }
}

impl TokenApi {
    fn view(&self) -> Json<TokenView> {
        Json(TokenView::from(&self.0.platform.hub.tokens().status()))
    }
}
