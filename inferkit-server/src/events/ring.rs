//! The last events, by number.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::SystemTime;

use tokio::sync::watch;

/// Events kept for readers that come back.
const KEPT: usize = 1000;
/// Events that a reader may be behind before it gets the whole state instead.
const MAX_BEHIND: u64 = 256;

/// One event.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its number.
    pub seq: u64,
    /// Its name, which is also its topic.
    pub name: &'static str,
    /// Compact JSON.
    pub data: Arc<str>,
}

/// The last events, by number.
#[derive(Debug)]
pub struct EventRing {
    events: Mutex<VecDeque<Recorded>>,
    newest: watch::Sender<u64>,
}

impl Default for EventRing {
    fn default() -> Self {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self::beginning_at(u64::try_from(now.as_millis()).unwrap_or_default())
    }
}

impl EventRing {
    fn beginning_at(seq: u64) -> Self {
        Self {
            events: Mutex::default(),
            newest: watch::Sender::new(seq),
        }
    }

    /// The number of the last event.
    pub fn seq(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Adds an event.
    pub fn push(&self, name: &'static str, data: impl Into<Arc<str>>) {
        let mut events = self.lock();
        if events.len() == KEPT {
            events.pop_front();
        }
        let seq = self.seq() + 1;
        events.push_back(Recorded {
            seq,
            name,
            data: data.into(),
        });
        self.newest.send_replace(seq);
    }

    /// A reader from behind `last` on; `Err` when that is not kept, or of another life.
    ///
    /// # Errors
    /// [`Missed`] when the reader needs the whole state first.
    pub fn reader_after(self: &Arc<Self>, last: u64) -> Result<Reader, Missed> {
        let oldest = self.lock().front().map_or(self.seq() + 1, |event| event.seq);
        if last + 1 < oldest || last > self.seq() {
            return Err(Missed);
        }
        Ok(Reader {
            ring: self.clone(),
            next: last + 1,
            newest: self.newest.subscribe(),
        })
    }

    /// A reader of what comes from now on.
    pub fn reader(self: &Arc<Self>) -> Reader {
        // Subscribed first: what comes in between is read, not missed.
        let newest = self.newest.subscribe();
        let next = *newest.borrow() + 1;
        Reader {
            ring: self.clone(),
            next,
            newest,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Recorded>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader has missed events and needs the whole state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed;

/// One reader's place in the ring.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<EventRing>,
    next: u64,
    newest: watch::Receiver<u64>,
}

impl Reader {
    /// The number of the last event that the reader has behind it.
    pub fn behind(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// The next event, once there is one. After [`Missed`] the reader goes on with what comes from then on.
    ///
    /// # Errors
    /// [`Missed`] when the reader is too far behind.
    pub async fn next(&mut self) -> Result<Recorded, Missed> {
        loop {
            let newest = *self.newest.borrow_and_update();
            if newest >= self.next {
                return self.take(newest);
            }
            if self.newest.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn take(&mut self, newest: u64) -> Result<Recorded, Missed> {
        let events = self.ring.lock();
        let place = events.front().and_then(|oldest| self.next.checked_sub(oldest.seq));
        let event = place.and_then(|place| events.get(usize::try_from(place).ok()?));
        match event {
            Some(event) if newest - self.next < MAX_BEHIND => {
                self.next += 1;
                Ok(event.clone())
            }
            _ => {
                self.next = newest + 1;
                Err(Missed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Arc<EventRing> {
        Arc::new(EventRing::beginning_at(1000))
    }

    fn push(ring: &EventRing, count: usize) {
        (0..count).for_each(|_| ring.push("model", "{}"));
    }

    #[tokio::test]
    async fn a_reader_gets_every_event_in_order() {
        let ring = ring();
        let mut reader = ring.reader();
        push(&ring, 3);
        for seq in 1001..=1003 {
            assert_eq!(reader.next().await.unwrap().seq, seq);
        }
        let waiting = tokio::spawn(async move { reader.next().await.unwrap().seq });
        tokio::task::yield_now().await;
        push(&ring, 1);
        assert_eq!(waiting.await.unwrap(), 1004);
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_goes_on_where_it_was() {
        let ring = ring();
        push(&ring, 10);
        assert_eq!(ring.reader_after(1004).unwrap().next().await.unwrap().seq, 1005);
        assert!(ring.reader_after(1010).is_ok(), "nothing missed yet");
        assert_eq!(ring.reader_after(999).unwrap_err(), Missed, "of an earlier life");
        assert_eq!(ring.reader_after(5000).unwrap_err(), Missed, "of a later one");
        push(&ring, KEPT);
        assert_eq!(ring.reader_after(1004).unwrap_err(), Missed, "no longer kept");
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_skips_to_the_present() {
        let ring = ring();
        let mut reader = ring.reader();
        push(&ring, 256);
        assert_eq!(reader.next().await.unwrap().seq, 1001, "255 behind is not too far");
        push(&ring, 2);
        assert_eq!(reader.next().await.unwrap_err(), Missed);
        push(&ring, 1);
        assert_eq!(reader.next().await.unwrap().seq, 1259);
    }
}
