//! How the IRC bot gets onto a network and stays there, with real servers and real services.

mod channels;
mod hostile;
mod identity;
mod life;
mod speaking;
mod tls;
