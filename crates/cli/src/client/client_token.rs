//! `penstock client-token`: what a partner's job workers prove themselves with.

use serde_json::{Value, json};

use crate::args::ClientTokenArgs;
use crate::exit::Exit;

use super::{Api, show};

/// `penstock client-token`.
pub fn client_token(args: &ClientTokenArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let id = json!({
        "category": args.category,
        "owner": "ThirdParty",
        "provider": args.provider,
        "version": args.version,
    });
    let answer = api.extension("GetThirdPartyClient", &json!({ "actionTypeId": id }))?;
    show(&args.common, &answer, |_| told(&answer))?;
    Ok(Exit::Succeeded)
}

fn told(answer: &Value) -> String {
    let field = |name: &str| crate::progress::clean(answer[name].as_str().unwrap_or_default());
    format!(
        "Client id     {}\nClient token  {}\n\nWhoever has the token can take the jobs of this action type.\n",
        field("clientId"),
        field("clientToken")
    )
}
