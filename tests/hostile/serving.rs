//! A broker that answers some requests of a connection truly, and the next one as an attack.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::attack::Attack;
use crate::brokers::{Attacker, State, drain};

#[derive(Debug)]
pub(crate) struct PlainBroker;

impl Attacker for PlainBroker {
    type Attack = Attack;
    const ATTACKS: &'static [Attack] = &Attack::ALL;

    async fn serve(&self, mut stream: TcpStream, state: &State<Self>, mut random: StdRng) -> Option<()> {
        let true_answers = [0, 1, 1, 2, 3, 4, 5][random.random_range(0..7)];
        let mut answered = 0;
        let mut answered_falsely = false;
        loop {
            let truth = state.truth();
            // A lie may keep the producer from asking anything more on this connection.
            let patience = if answered_falsely { IDLE } else { Duration::from_secs(3600) };
            let request = tokio::time::timeout(patience, read_frame(&mut stream)).await.ok()?;
            let answer = truth.answer(request?)?;
            if answered < true_answers || state.is_sensible() {
                stream.write_all(&answer).await.ok()?;
                answered += 1;
                continue;
            }
            let attack = Attack::any(&mut random);
            state.count(attack);
            stream.write_all(&attack.bytes(&mut random, answer)).await.ok()?;
            match attack {
                Attack::Silence => drain(&mut stream).await,
                // Whether that hurts is for the producer to find out; there may be more to come.
                Attack::AnswerWithFlippedBits | Attack::AnswerTwice | Attack::RandomFrame => {
                    (answered, answered_falsely) = (0, true);
                }
                _ => return None,
            }
        }
    }
}

async fn read_frame(stream: &mut TcpStream) -> Option<Bytes> {
    let length = stream.read_i32().await.ok()?;
    let mut frame = vec![0; usize::try_from(length).ok()?];
    stream.read_exact(&mut frame).await.ok()?;
    Some(frame.into())
}

const IDLE: Duration = Duration::from_millis(100);
