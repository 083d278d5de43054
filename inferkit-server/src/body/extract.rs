//! The extractors of JSON bodies that handlers take.

use futures_util::StreamExt;
use poem::Request;
use poem::RequestBody;
use poem::http::header;
use poem_openapi::ApiExtractor;
use poem_openapi::ApiExtractorType;
use poem_openapi::ExtractParamOptions;
use poem_openapi::registry::MetaMediaType;
use poem_openapi::registry::MetaRequest;
use poem_openapi::registry::Registry;
use poem_openapi::types::Type;
use serde::de::DeserializeOwned;

use crate::body::decode::decode;
use crate::body::node::Node;
use crate::error::ApiError;
use crate::error::shown;
use crate::middleware::Notes;

/// A required JSON body. Its type derives `Object` for the document and `Deserialize` for the reading.
///
/// Rules that hold for all bodies stand in the module's documentation; poem-openapi's validators do
/// not run, so that ranges are checked by the handler.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A JSON body that may be left out, with or without a content type.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

impl<'a, T: Type + DeserializeOwned + Send> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(json_meta::<T>(true))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        check_content_type(request)?;
        let bytes = read(body).await?;
        Ok(Self(parse(request, &bytes)?))
    }
}

impl<'a, T: Type + DeserializeOwned + Default + Send> ApiExtractor<'a> for OptionalBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(json_meta::<T>(false))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if request.content_type().is_some() {
            check_content_type(request)?;
        }
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        check_content_type(request)?;
        Ok(Self(parse(request, &bytes)?))
    }
}

fn json_meta<T: Type>(required: bool) -> MetaRequest {
    let content = vec![MetaMediaType {
        content_type: "application/json",
        schema: T::schema_ref(),
    }];
    MetaRequest {
        description: None,
        content,
        required,
    }
}

/// Only JSON, and only as it is: a compressed body is refused rather than unpacked without a limit.
fn check_content_type(request: &Request) -> Result<(), ApiError> {
    let found = request.content_type().unwrap_or_default();
    let (kind, parameters) = found.split_once(';').unwrap_or((found, ""));
    let is_utf8 = parameters.split(';').map(str::trim).all(|parameter| {
        parameter.split_once('=').is_none_or(|(name, value)| {
            !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    });
    if !kind.trim().eq_ignore_ascii_case("application/json") || !is_utf8 {
        let found = if found.is_empty() {
            "none".to_owned()
        } else {
            shown(found)
        };
        return Err(ApiError::new(
            "unsupported_media_type",
            format!("the content type is {found}; send JSON as application/json"),
        ));
    }
    match request.header(header::CONTENT_ENCODING) {
        None | Some("identity") => Ok(()),
        Some(encoding) => Err(ApiError::new(
            "unsupported_media_type",
            format!(
                "the content encoding {} is not accepted; send the body uncompressed",
                shown(encoding)
            ),
        )),
    }
}

/// Reads the whole body; its limit was set where the request came in.
async fn read(body: &mut RequestBody) -> poem::Result<Vec<u8>> {
    let mut stream = Box::pin(body.take()?.into_bytes_stream());
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| ApiError::new("invalid_json", "the body ended early; send it again"))?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(request: &Request, bytes: &[u8]) -> Result<T, ApiError> {
    let decoded = decode(&Node::parse(bytes)?)?;
    if let Some(notes) = request.data::<Notes>() {
        notes.ignore(decoded.unknown)?;
    }
    Ok(decoded.value)
}

/// What the fuzzer calls: a body as a type, and the names that were skipped.
#[cfg(any(fuzzing, test))]
pub(crate) fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Vec<String>), ApiError> {
    let decoded = decode(&Node::parse(bytes)?)?;
    Ok((decoded.value, decoded.unknown))
}
