//! A real Chromium, driven through chromedriver as a person would use it.

use serde_json::{Value, json};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A page may take this long to load on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(120);

const MISSING: &str =
    "chromedriver cannot be started; install it: apt-get install --no-install-recommends chromium chromium-driver";

/// One browser with a profile of its own. Dropped, it ends.
pub struct Browser {
    driver: Child,
    session: String,
    client: awc::Client,
}

impl Browser {
    pub async fn start() -> Browser {
        Browser::start_with("normal", &[]).await
    }

    /// Does not wait for pages to have loaded: some load for as long as a build runs.
    pub async fn that_does_not_wait() -> Browser {
        Browser::start_with("none", &[]).await
    }

    /// As one in which somebody has turned scripts off.
    pub async fn without_scripts() -> Browser {
        Browser::start_with("normal", &[("profile.managed_default_content_settings.javascript", json!(2))]).await
    }

    async fn start_with(waits: &str, preferences: &[(&str, Value)]) -> Browser {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{MISSING} ({error})"));
        let port = port(&mut driver);
        let client = awc::Client::builder().timeout(LIMIT).finish();
        let mut browser = Browser { driver, session: format!("http://127.0.0.1:{port}/session"), client };
        let preferences: Value = preferences.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let options = json!({
            // No sandbox of its own, as tests may run as root; nothing but loopback is ever loaded.
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                     "--disable-background-networking", "--window-size=1400,900"],
            "prefs": preferences,
        });
        let wanted = json!({ "goog:chromeOptions": options, "pageLoadStrategy": waits });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = browser.ask("POST", "", wanted).await;
        let id = session["sessionId"].as_str().unwrap_or_else(|| panic!("{MISSING} ({session})"));
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// Opens an address in the window in front.
    pub async fn open(&self, address: &str) {
        self.ask("POST", "/url", json!({ "url": address })).await;
    }

    /// Opens an address in a window more, which is in front then. Its name is for [`Browser::show`].
    pub async fn open_window(&self, address: &str) -> String {
        let window = self.ask("POST", "/window/new", json!({ "type": "window" })).await;
        let name = window["handle"].as_str().unwrap().to_owned();
        self.show(&name).await;
        self.open(address).await;
        name
    }

    pub async fn show(&self, window: &str) {
        self.ask("POST", "/window", json!({ "handle": window })).await;
    }

    /// What a function body in the page gives back.
    pub async fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// A command of Chromium's own, for the page in front: another time zone, dark mode, another size.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", json!({ "cmd": name, "params": parameters })).await
    }

    /// Clicks what a CSS selector finds first.
    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.ask("POST", &format!("/element/{element}/click"), json!({})).await;
    }

    /// Types into what a CSS selector finds first.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.ask("POST", &format!("/element/{element}/value"), json!({ "text": text })).await;
    }

    /// Presses keys where the focus is.
    pub async fn press(&self, keys: &str) {
        let pressed = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": pressed.collect::<Value>() });
        self.ask("POST", "/actions", json!({ "actions": [keyboard] })).await;
    }

    /// The text a reader sees of what a CSS selector finds first.
    pub async fn text(&self, selector: &str) -> String {
        let element = self.element(selector).await;
        let text = self.ask("GET", &format!("/element/{element}/text"), Value::Null).await;
        text.as_str().unwrap().to_owned()
    }

    async fn element(&self, selector: &str) -> String {
        let by = json!({ "using": "css selector", "value": selector });
        let found = self.ask("POST", "/element", by).await;
        let name = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        name.unwrap_or_else(|| panic!("nothing is there for {selector}: {found}")).to_owned()
    }

    fn ask(&self, method: &str, path: &str, body: Value) -> impl Future<Output = Value> {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.session));
        async move {
            let sent = if body.is_null() { request.send() } else { request.send_json(&body) };
            let mut answer = sent.await.unwrap_or_else(|error| panic!("chromedriver does not answer: {error}"));
            let told: Value = answer.json().limit(64 << 20).await.unwrap();
            assert!(answer.status().is_success(), "{}", told["value"]);
            told["value"].clone()
        }
    }

    /// Ends it in order.
    pub async fn quit(self) {
        self.ask("DELETE", "", Value::Null).await;
    }
}

/// The port it says that it listens on.
fn port(driver: &mut Child) -> u16 {
    let output = BufReader::new(driver.stdout.take().unwrap());
    let told = output.lines().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    told.unwrap_or_else(|| panic!("{MISSING} (it said no port)"))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // With the browser of a test that failed: it is of the same process group.
        // SAFETY: a signal to a process group that was started here and has not been waited for.
        unsafe { libc::kill(-self.driver.id().cast_signed(), libc::SIGKILL) };
        self.driver.wait().ok();
    }
}
