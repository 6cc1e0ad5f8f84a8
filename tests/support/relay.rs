//! A way to a server that stays while the server comes and goes, and that can be cut like a network.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub struct Relay {
    pub url: String,
    /// Where connections lead; nowhere while it is cut.
    target: Arc<Mutex<Option<String>>>,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
    turned_away: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// To a server at `http://HOST:PORT`.
    pub async fn to(url: &str) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let (target, open) = (Arc::<Mutex<Option<String>>>::default(), Arc::<Mutex<Vec<JoinHandle<()>>>>::default());
        let turned_away = Arc::<AtomicUsize>::default();
        let (to, opened, turned) = (target.clone(), open.clone(), turned_away.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Some(address) = to.lock().unwrap().clone() else {
                    turned.fetch_add(1, Ordering::SeqCst);
                    continue;
                };
                opened.lock().unwrap().push(tokio::spawn(pass(near, address)));
            }
        });
        let relay = Relay { url: own, target, open, turned_away, accepting };
        relay.lead_to(url);
        relay
    }

    pub fn lead_to(&self, url: &str) {
        *self.target.lock().unwrap() = Some(url.trim_start_matches("http://").to_owned());
    }

    /// The port it is to be found at.
    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// How many found it cut.
    pub fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::SeqCst)
    }

    /// Ends every connection and takes no more until it leads somewhere again.
    pub fn cut(&self) {
        *self.target.lock().unwrap() = None;
        self.open.lock().unwrap().drain(..).for_each(|connection| connection.abort());
    }
}

async fn pass(mut near: TcpStream, address: String) {
    if let Ok(mut far) = TcpStream::connect(address).await {
        // However it ends, both ends see it.
        copy_bidirectional(&mut near, &mut far).await.ok();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}
