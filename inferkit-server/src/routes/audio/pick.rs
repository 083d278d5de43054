//! Which model a request means.

use inferkit::Error;
use inferkit::ModelHandle;
use inferkit::RequestFault;
use inferkit::Result;
use inferkit::RuntimeStatus;
use inferkit::task::Task;

use crate::app::App;

/// The model that is called `name`; without a name `usual`, else the only one of `task` that is loaded or registered.
///
/// # Errors
/// `model_not_found` for an unknown name, `unsupported_model_task` for a model of another task, `invalid_value`
/// where no name is given and more than one model is meant.
pub(crate) fn pick(app: &App, name: Option<&str>, usual: Option<&str>, task: Task) -> Result<ModelHandle> {
    let handle = match name {
        Some(name) => app.registry.get(name)?,
        None => usual_model(app, usual, task)?,
    };
    let found = handle.status().info.task;
    if found != task {
        let message = format!(
            "the model '{}' is for the task '{}'; name one for '{}'",
            handle.key(),
            found.as_str(),
            task.as_str()
        );
        return Err(Error::invalid(RequestFault::UnsupportedModelTask, "model", message));
    }
    Ok(handle)
}

fn usual_model(app: &App, usual: Option<&str>, task: Task) -> Result<ModelHandle> {
    let statuses = app.registry.statuses();
    let of_task: Vec<_> = statuses.iter().filter(|status| status.info.task == task).collect();
    if let Some(usual) = usual
        && of_task.iter().any(|status| status.key == usual)
    {
        return app.registry.get(usual);
    }
    let loaded: Vec<_> = of_task
        .iter()
        .filter(|status| status.runtime_status == RuntimeStatus::Loaded)
        .collect();
    match (loaded.as_slice(), of_task.as_slice()) {
        ([one], _) => app.registry.get(&one.key),
        ([], [one]) => app.registry.get(&one.key),
        ([], []) => Err(Error::invalid(
            RequestFault::ModelNotFound,
            "model",
            format!("there is no model for the task '{}'; configure one", task.as_str()),
        )),
        _ => Err(Error::invalid(
            RequestFault::InvalidValue,
            "model",
            format!(
                "there is more than one model for the task '{}'; name one",
                task.as_str()
            ),
        )),
    }
}
