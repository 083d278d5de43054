use futures_util::FutureExt;
use futures_util::StreamExt;

use super::*;
use crate::task::TranscriptionEvent;

type Requests = Queue<&'static str, TranscriptionEvent>;

fn queue(max_queued: usize, queue_timeout: Duration) -> Arc<Requests> {
    Arc::new(Queue::new(QueueLimits {
        max_queued,
        queue_timeout,
        places: 1,
    }))
}

fn patient(max_queued: usize) -> Arc<Requests> {
    queue(max_queued, Duration::from_mins(1))
}

fn done() -> TranscriptionEvent {
    TranscriptionEvent::Done {
        language: "en".to_owned(),
    }
}

#[tokio::test]
async fn requests_are_taken_in_the_order_in_which_they_came_and_answered() {
    let queue = patient(4);
    let mut streams = ["first", "second"].map(|name| queue.submit(name).unwrap());
    for name in ["first", "second"] {
        let order = queue.take().unwrap();
        assert_eq!(order.request, name);
        order.outlet.send(Ok(done()));
    }
    assert!(queue.take().is_none());
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().unwrap(), done());
        assert!(stream.next().await.is_none(), "the last event ends the stream");
    }
}

#[tokio::test]
async fn who_leaves_the_line_makes_room_at_once_though_nobody_takes() {
    let queue = patient(1);
    let _at_work = queue.submit("at work").unwrap();
    let _order = queue.take().unwrap();
    let waiting = queue.submit("waiting").unwrap();
    assert_eq!(queue.submit("refused").unwrap_err().code(), "queue_full");
    drop(waiting);
    let _next = queue.submit("next").unwrap();
    assert_eq!(queue.take().unwrap().request, "next", "who left is not served");
}

#[tokio::test]
async fn who_waits_too_long_is_told_at_once_though_nobody_takes_and_makes_room() {
    let queue = queue(1, Duration::from_millis(20));
    let _at_work = queue.submit("at work").unwrap();
    let _order = queue.take().unwrap();
    let mut waiting = queue.submit("waiting").unwrap();
    let error = waiting.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), "queue_timeout");
    let Error::Unavailable { retry_after, .. } = error else {
        panic!("who waits too long is told when to come back")
    };
    assert!(retry_after.is_some_and(|delay| delay >= Duration::from_secs(1)));
    assert!(waiting.next().await.is_none(), "an error ends the stream");
    queue.submit("next").unwrap();
}

#[test]
fn who_waits_too_long_is_told_in_a_runtime_without_timers() {
    let queue = queue(1, Duration::from_millis(20));
    let mut waiting = queue.submit("waiting").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(waiting.next()).unwrap().unwrap_err();
    assert_eq!(error.code(), "queue_timeout");
}

#[test]
fn who_looks_after_those_who_wait_ends_with_the_last_of_them() {
    let queue = patient(4);
    let streams = ["first", "second"].map(|name| queue.submit(name).unwrap());
    assert!(queue.state().is_timed);
    drop(queue.take());
    drop(streams);
    let begun = Instant::now();
    while queue.state().is_timed {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "nobody waits, and it does not end"
        );
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn who_was_taken_in_time_is_answered_however_long_the_work_takes() {
    let queue = queue(1, Duration::from_millis(500));
    let mut stream = queue.submit("work").unwrap();
    assert!(stream.next().now_or_never().is_none(), "it waits");
    let order = queue.take().unwrap();
    let answer = async {
        tokio::time::sleep(Duration::from_millis(550)).await;
        order.outlet.send(Ok(done()));
    };
    let (event, ()) = tokio::join!(stream.next(), answer);
    assert_eq!(event.unwrap().unwrap(), done());
}

#[tokio::test]
async fn who_is_late_and_does_not_look_holds_no_place_and_is_told_later() {
    let queue = queue(0, Duration::ZERO);
    let mut late = queue.submit("late").unwrap();
    let _next = queue.submit("next").unwrap();
    assert!(queue.take().is_none(), "both are late");
    assert_eq!(late.next().await.unwrap().unwrap_err().code(), "queue_timeout");
}

#[tokio::test]
async fn a_caller_who_goes_while_it_is_served_is_seen_by_the_engine() {
    let queue = patient(1);
    let stream = queue.submit("work").unwrap();
    let order = queue.take().unwrap();
    assert!(!order.outlet.is_closed());
    drop(stream);
    assert!(order.outlet.is_closed());
    queue.line().end(Duration::ZERO);
    assert_eq!(queue.line().depth(), crate::task::QueueDepth::default());
}

#[tokio::test]
async fn the_end_of_an_engine_is_told_to_those_who_wait_and_refuses_those_who_come() {
    let queue = patient(4);
    let mut waiting = queue.submit("waiting").unwrap();
    queue.line().close(Error::internal("the end"));
    queue.end_all(&Error::internal("the end"));
    assert_eq!(waiting.next().await.unwrap().unwrap_err().to_string(), "the end");
    assert_eq!(queue.submit("late").unwrap_err().to_string(), "the end");
}

#[tokio::test]
async fn an_outlet_that_is_lost_ends_the_stream_with_the_reason_of_the_line() {
    let queue = patient(4);
    let mut stream = queue.submit("work").unwrap();
    queue.line().close(Error::internal("the reason"));
    drop(queue.take());
    assert_eq!(stream.next().await.unwrap().unwrap_err().to_string(), "the reason");
}

#[test]
fn a_sleeping_engine_wakes_for_a_request_and_for_its_end() {
    let queue = patient(1);
    let engine = Arc::clone(&queue);
    let thread = std::thread::spawn(move || {
        let mut served = 0;
        loop {
            engine.wait();
            if engine.is_stopped() {
                return served;
            }
            served += usize::from(engine.take().is_some());
            engine.line().end(Duration::ZERO);
        }
    });
    let _stream = queue.submit("work").unwrap();
    while queue.line().depth() != crate::task::QueueDepth::default() {
        std::thread::yield_now();
    }
    queue.stop();
    assert_eq!(thread.join().unwrap(), 1);
}
