//! AWS_MSK_IAM: a request to AWS that is signed beforehand, and that the broker makes (`aws-msk-iam-auth`).
//!
//! ```text
//!  {"version":"2020_10_22","host":…,"action":"kafka-cluster:Connect",…,"x-amz-signature":…}   ───▶
//!                                            ◀───  {"version":"2020_10_22","request-id":…}: it is accepted
//! ```

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use super::{Opening, SaslExchange, SaslMechanism, SaslStep, out_of_turn};
use crate::aws_credentials::AwsCredentials;
use crate::aws_credentials::signature::{self, Presigning};
use crate::config::Mechanism;
use crate::json::Json;
use crate::login::Current;
use crate::metadata::Node;
use crate::wire::readable;

/// The mechanism, with the credentials in force.
#[derive(Debug)]
pub(super) struct AwsMskIam {
    current: Current<AwsCredentials>,
    /// For brokers whose names do not tell a region.
    region: Option<Arc<str>>,
    /// Returns the milliseconds since 1970: signatures have a date.
    wall_clock: fn() -> i64,
}

impl AwsMskIam {
    pub(super) fn new(
        current: Current<AwsCredentials>,
        region: Option<Arc<str>>,
        wall_clock: fn() -> i64,
    ) -> Self {
        Self { current, region, wall_clock }
    }
}

impl SaslMechanism for AwsMskIam {
    fn name(&self) -> Arc<str> {
        Arc::from(Mechanism::AwsMskIam.name())
    }

    fn subject(&self) -> &'static str {
        "the AWS credentials"
    }

    /// What is signed lets in for a quarter of an hour.
    fn opening(&self) -> Opening {
        if self.current.get().is_some() { Opening::Secret } else { Opening::Later }
    }

    fn begin(&self, broker: &Node, _: &mut StdRng) -> Box<dyn SaslExchange> {
        let host = Arc::clone(broker.address().host());
        Box::new(AwsExchange {
            current: self.current.clone(),
            host,
            region: self.region.clone(),
            wall_clock: self.wall_clock,
            state: State::Silent,
        })
    }
}

/// Returns the region in the name of a broker of MSK, such as `b-1.orders.abc.c2.kafka.eu-west-1.amazonaws.com`.
fn region_of(host: &str) -> Option<&str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let rest = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let mut labels = rest.rsplit('.');
    let region = labels.next()?;
    labels.next().filter(|label| label.starts_with("kafka")).map(|_| region)
}

/// One exchange.
struct AwsExchange {
    current: Current<AwsCredentials>,
    host: Arc<str>,
    /// Unless the broker's name or the credentials tell another.
    region: Option<Arc<str>>,
    wall_clock: fn() -> i64,
    state: State,
}

enum State {
    Silent,
    Said(Arc<AwsCredentials>),
    Over,
}

impl SaslExchange for AwsExchange {
    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, Arc<str>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Silent => self.speak(),
            State::Said(_) => check_answer(challenge).map(|()| SaslStep::Done),
            State::Over => Err(out_of_turn()),
        }
    }

    fn work(&mut self) -> Result<SaslStep, Arc<str>> {
        match self.state {
            State::Silent => self.speak(),
            State::Over | State::Said(_) => Err(out_of_turn()),
        }
    }

    fn has_said_all(&self) -> bool {
        matches!(self.state, State::Said(_))
    }

    fn refused(&mut self, _: &str) -> Option<Arc<str>> {
        let State::Said(credentials) = std::mem::replace(&mut self.state, State::Over) else { return None };
        let is_over = self.current.doubt(&credentials);
        is_over.then(|| "the credentials have ended by the clock of this machine".into())
    }
}

impl AwsExchange {
    fn speak(&mut self) -> Result<SaslStep, Arc<str>> {
        let Some(credentials) = self.current.get() else {
            self.state = State::Silent;
            return Ok(SaslStep::Wait);
        };
        let region = region_of(&self.host).map(Arc::from).or_else(|| credentials.region.clone());
        let Some(region) = region.or_else(|| self.region.clone()) else {
            return Err(format!("no region of AWS is known for {}; set AWS_REGION", self.host).into());
        };
        let message = first_message(&credentials, &self.host, &region, (self.wall_clock)());
        self.state = State::Said(credentials);
        Ok(SaslStep::Say(Bytes::from_owner(message)))
    }
}

/// Returns the signed request, as AWS's own client writes it. It counts for a quarter of an hour.
fn first_message(credentials: &AwsCredentials, host: &str, region: &str, now_ms: i64) -> Zeroizing<Vec<u8>> {
    let presigning = Presigning {
        credentials,
        host,
        path: "/",
        query: &[("Action", ACTION)],
        region,
        service: "kafka-cluster",
        payload_hash: &signature::hash(b""),
        expires_s: EXPIRES_S,
        now_ms,
    };
    let mut members = vec![
        ("version", Zeroizing::new(VERSION.to_owned())),
        ("host", Zeroizing::new(host.to_owned())),
        ("user-agent", Zeroizing::new(USER_AGENT.to_owned())),
        ("action", Zeroizing::new(ACTION.to_owned())),
    ];
    members.extend(presigning.signed());
    // A token is longer than it was by nothing but escapes, of which it has none. What grows leaves copies behind.
    let length: usize = members.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    let members = members.into_iter();
    let members =
        members.map(|(name, value)| (name.to_ascii_lowercase(), Json::String(value.as_str().to_owned())));
    let mut message = Zeroizing::new(Vec::with_capacity(length + 64));
    Json::Object(members.collect()).write_to(&mut message);
    message
}

fn check_answer(words: &[u8]) -> Result<(), Arc<str>> {
    let text = String::from_utf8_lossy(words);
    let json = Json::parse(&text).ok();
    match json.as_ref().and_then(|json| json.text("version")) {
        Some(VERSION) => Ok(()),
        _ => Err(format!("AWS_MSK_IAM: the broker's answer is not understood: {}", readable(&text)).into()),
    }
}

impl fmt::Debug for AwsExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsExchange").field("host", &self.host).finish_non_exhaustive()
    }
}

const VERSION: &str = "2020_10_22";
const ACTION: &str = "kafka-cluster:Connect";
const USER_AGENT: &str = concat!("kafka-producer-rust/", env!("CARGO_PKG_VERSION"));
const EXPIRES_S: u32 = 900;

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::topic_partition::NodeId;

    const HOST: &str = "b-1.orders.abc.c2.kafka.eu-west-1.amazonaws.com";

    fn exchange(host: &str, current: &Current<AwsCredentials>) -> Box<dyn SaslExchange> {
        let mechanism = AwsMskIam::new(current.clone(), None, || 1_440_938_160_000);
        mechanism.begin(&Node::new(NodeId(1), host, 9098), &mut StdRng::seed_from_u64(7))
    }

    #[test]
    fn region_is_in_the_names_of_brokers() {
        for (host, region) in [
            (HOST, Some("eu-west-1")),
            ("boot-x.c2.kafka-serverless.us-east-1.amazonaws.com", Some("us-east-1")),
            ("b-1.x.kafka.cn-north-1.amazonaws.com.cn.", Some("cn-north-1")),
            ("broker.example.com", None),
            ("ec2.us-east-1.amazonaws.com", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }

    #[test]
    fn signed_request_is_said_once_there_are_credentials() {
        let current = Current::new();
        let mut exchange = exchange(HOST, &current);
        assert_eq!(exchange.respond(&[]), Ok(SaslStep::Wait));
        current.put_for_test(AwsCredentials::new("AKIDEXAMPLE", "hunter2").session_token("hunter3"));

        let Ok(SaslStep::Say(said)) = exchange.work() else { panic!() };

        let json = Json::parse(std::str::from_utf8(&said).unwrap()).unwrap();
        for (name, value) in [
            ("version", "2020_10_22"),
            ("host", HOST),
            ("action", "kafka-cluster:Connect"),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", "AKIDEXAMPLE/20150830/eu-west-1/kafka-cluster/aws4_request"),
            ("x-amz-date", "20150830T123600Z"),
            ("x-amz-expires", "900"),
            ("x-amz-security-token", "hunter3"),
            ("x-amz-signedheaders", "host"),
        ] {
            assert_eq!(json.text(name), Some(value), "{name}");
        }
        assert_eq!(json.text("x-amz-signature").map(str::len), Some(64));
        let answer = br#"{"version":"2020_10_22","request-id":"x"}"#;
        assert_eq!(exchange.respond(answer), Ok(SaslStep::Done));
        assert!(!format!("{exchange:?} {current:?} {:?}", current.get()).contains("hunter"));
    }

    #[test]
    fn broker_without_a_region_and_answers_without_a_version_are_told() {
        let current = Current::new();
        current.put_for_test(AwsCredentials::new("a", "b"));
        let error = exchange("broker.example.com", &current).respond(&[]).unwrap_err();
        assert_eq!(&*error, "no region of AWS is known for broker.example.com; set AWS_REGION");

        for words in [&b""[..], b"{}", b"x", br#"{"version":"1"}"#] {
            let mut exchange = exchange(HOST, &current);
            exchange.respond(&[]).unwrap();
            assert!(exchange.respond(words).unwrap_err().contains("is not understood"));
        }
    }
}
