//! A stream on which each line is a JSON text: how the daemon speaks over a socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// Both directions.
pub struct Lines {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: Vec<u8>,
    /// How much of the buffer has no end of a line in it.
    looked_at: usize,
    most: usize,
}

impl Lines {
    /// Connects to a port. A line longer than this many bytes is an error.
    pub async fn tcp(host: &str, port: u16, limit: Duration, most: usize) -> io::Result<Self> {
        let stream = timeout(limit, TcpStream::connect((host, port))).await.map_err(|_| late())??;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self::new(Box::new(reader), Box::new(writer), most))
    }

    /// Connects to a file.
    pub async fn unix(path: &Path, limit: Duration, most: usize) -> io::Result<Self> {
        let stream = timeout(limit, UnixStream::connect(path)).await.map_err(|_| late())??;
        let (reader, writer) = stream.into_split();
        Ok(Self::new(Box::new(reader), Box::new(writer), most))
    }

    fn new(reader: Box<dyn AsyncRead + Send + Unpin>, writer: Box<dyn AsyncWrite + Send + Unpin>, most: usize) -> Self {
        Lines { reader, writer, buffer: Vec::new(), looked_at: 0, most }
    }

    /// Writes a line.
    pub async fn write(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes()).await?;
        self.writer.write_all(b"\n").await?;
        self.writer.flush().await
    }

    /// The next line; `None` at the end. It may be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer[self.looked_at..].iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.drain(..=self.looked_at + end).collect();
                self.looked_at = 0;
                return Ok(Some(line));
            }
            self.looked_at = self.buffer.len();
            if self.buffer.len() > self.most {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a line is longer than {} bytes", self.most),
                ));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no connection within connect_timeout_ms")
}
