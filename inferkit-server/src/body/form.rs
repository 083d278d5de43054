//! Forms with a file in them: parts in any order, the file to disk, the rest in memory within bounds.

use std::fs::File;
use std::marker::PhantomData;

use poem::FromRequest;
use poem::Request;
use poem::RequestBody;
use poem::http::header;
use poem::web::Field;
use poem::web::Multipart;
use poem_openapi::ApiExtractor;
use poem_openapi::ApiExtractorType;
use poem_openapi::ExtractParamOptions;
use poem_openapi::registry::MetaRequest;
use poem_openapi::registry::Registry;
use tokio::io::AsyncReadExt;

use crate::body::fields::Fields;
use crate::error::ApiError;
use crate::error::shown;

/// Most parts of a form.
const MAX_PARTS: usize = 64;
/// Most bytes of all parts but the file together.
const MAX_FIELD_BYTES: u64 = 1 << 20;

/// A form whose part `file` is a file; `T` derives `Multipart` for the document and is not made.
///
/// The file lies in a temporary file without a name: the system removes it however the request ends.
/// The length of the whole body is limited where it comes in.
pub struct Form<T> {
    /// The part `file`, at its start.
    pub file: File,
    /// The other parts.
    pub fields: Fields,
    documented: PhantomData<fn() -> T>,
}

impl<'a, T: ApiExtractor<'a>> ApiExtractor<'a> for Form<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        T::request_meta()
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let (file, fields) = read(request, body).await?;
        Ok(Self {
            file,
            fields,
            documented: PhantomData,
        })
    }
}

/// The file of a form, at its start, and the other parts.
pub(crate) async fn read(request: &Request, body: &mut RequestBody) -> poem::Result<(File, Fields)> {
    check_content_type(request)?;
    let mut parts = <Multipart as FromRequest>::from_request(request, body)
        .await
        .map_err(|_| damaged())?;
    let (mut file, mut fields, mut bytes_left) = (None, Fields::default(), MAX_FIELD_BYTES);
    let mut count = 0;
    while let Some(part) = parts.next_field().await.map_err(|_| damaged())? {
        count += 1;
        if count > MAX_PARTS {
            let message = format!("the form has more than {MAX_PARTS} parts; send fewer");
            return Err(ApiError::new("invalid_value", message).into());
        }
        match part.name().unwrap_or_default().to_owned() {
            name if name == "file" => {
                if file.replace(spooled(part).await?).is_some() {
                    return Err(ApiError::invalid_value("file", "there are two files; send one").into());
                }
            }
            name => {
                let value = text(part, &name, &mut bytes_left).await?;
                fields.push(name, value);
            }
        }
    }
    let file = file.ok_or_else(|| {
        let message = "file is missing; send the recording as the part named file";
        ApiError::new("missing_required_parameter", message).with_param("file")
    })?;
    Ok((file, fields))
}

/// A form that ended early or is written wrongly. A body over its limit is told apart by whoever set the limit.
fn damaged() -> ApiError {
    ApiError::new("invalid_value", "the form is damaged or ended early; send it again")
}

fn check_content_type(request: &Request) -> Result<(), ApiError> {
    let found = request.content_type().unwrap_or_default();
    let kind = found.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("multipart/form-data") && request.header(header::CONTENT_ENCODING).is_none() {
        return Ok(());
    }
    let found = if found.is_empty() {
        "none".to_owned()
    } else {
        shown(found)
    };
    let message = format!("the content type is {found}; send an uncompressed form as multipart/form-data");
    Err(ApiError::new("unsupported_media_type", message).with_header("accept-post", "multipart/form-data"))
}

async fn spooled(part: Field) -> Result<File, ApiError> {
    let file = part.tempfile().await.map_err(|error| match error {
        poem::error::ParseMultipartError::Io(cause) if cause.kind() == std::io::ErrorKind::StorageFull => {
            ApiError::internal(cause)
        }
        _ => damaged(),
    })?;
    Ok(file.into_std().await)
}

async fn text(part: Field, name: &str, bytes_left: &mut u64) -> Result<String, ApiError> {
    let mut value = Vec::new();
    let mut reader = Box::pin(part.into_async_read()).take(*bytes_left + 1);
    reader.read_to_end(&mut value).await.map_err(|_| damaged())?;
    let Some(rest) = bytes_left.checked_sub(value.len() as u64) else {
        let message = format!("{}: the fields are longer than {MAX_FIELD_BYTES} bytes", shown(name));
        return Err(ApiError::invalid_value(shown(name), message));
    };
    *bytes_left = rest;
    String::from_utf8(value).map_err(|_| {
        let message = format!("{}: the value is not UTF-8", shown(name));
        ApiError::invalid_value(shown(name), message)
    })
}
