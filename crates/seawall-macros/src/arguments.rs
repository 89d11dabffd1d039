//! The arguments in the brackets of the attribute.

use syn::{
    Error, Expr, Ident, LitStr, Result, Token,
    parse::{Parse, ParseStream},
};

const KNOWN: &str = "fallback, registry, key, cost, priority, repeatable, classify";
const MAX_NAME: usize = 200;

/// The operation's name, and what follows it.
pub(crate) struct Arguments {
    pub(crate) name: LitStr,
    pub(crate) fallback: Option<Expr>,
    pub(crate) registry: Option<Expr>,
    pub(crate) key: Option<Expr>,
    pub(crate) cost: Option<Expr>,
    pub(crate) priority: Option<Expr>,
    pub(crate) repeatable: Option<Expr>,
    pub(crate) classify: Option<Expr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let Ok(name) = input.parse::<LitStr>() else {
            let right = "the operation's name comes first: #[resilient(\"my_operation\")]";
            return Err(Error::new(input.span(), right));
        };
        let text = name.value();
        let good = !text.is_empty()
            && text.chars().count() <= MAX_NAME
            && !text.chars().any(char::is_control);
        if !good {
            let right = "an operation's name has 1 to 200 characters, and no control characters";
            return Err(Error::new(name.span(), right));
        }
        let mut this = Self {
            name,
            fallback: None,
            registry: None,
            key: None,
            cost: None,
            priority: None,
            repeatable: None,
            classify: None,
        };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            this.parse_one(input)?;
        }
        Ok(this)
    }
}

impl Arguments {
    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        let field: Ident = input.parse()?;
        let place = match field.to_string().as_str() {
            "fallback" => &mut self.fallback,
            "registry" => &mut self.registry,
            "key" => &mut self.key,
            "cost" => &mut self.cost,
            "priority" => &mut self.priority,
            "repeatable" => &mut self.repeatable,
            "classify" => &mut self.classify,
            other => {
                let told = format!("`{other}` is none of {KNOWN}");
                return Err(Error::new(field.span(), told));
            }
        };
        if place.is_some() {
            return Err(Error::new(field.span(), format!("`{field}` is given twice")));
        }
        input.parse::<Token![=]>()?;
        *place = Some(input.parse()?);
        Ok(())
    }
}
