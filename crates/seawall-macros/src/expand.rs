//! The function as it is, inside of one that calls it through its operation.

use crate::arguments::Arguments;
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Error, FnArg, GenericArgument, Ident, ItemFn, Pat, PathArguments, Result, ReturnType, Type,
    parse_quote, spanned::Spanned,
};

pub(crate) fn expand(arguments: &Arguments, mut function: ItemFn) -> Result<TokenStream> {
    let is_async = function.sig.asyncness.is_some();
    let ReturnType::Type(_, returned) = &function.sig.output else {
        let told = "a resilient function returns a `Result`";
        return Err(Error::new(function.sig.span(), told));
    };
    let returned = (**returned).clone();
    if let Some(constness) = function.sig.constness {
        return Err(Error::new(constness.span(), "a const function cannot wait or be repeated"));
    }
    let handed = hand_over(&mut function, is_async)?;
    let (value, error) = parts(&returned);
    function.sig.output = parse_quote!(-> ::core::result::Result<#value, ::seawall::Error<#error>>);
    // Without its braces, which would be braces too many where they stand among other statements.
    let statements = &function.block.stmts;
    let body = quote!(#(#statements)*);
    let call = call(arguments, is_async, &handed, &returned, &body);
    function.block = parse_quote!({ #call });
    Ok(function.into_token_stream())
}

/// The types in `Result<T, E>`; of a result under another name, what the compiler knows of them.
fn parts(returned: &Type) -> (TokenStream, TokenStream) {
    if let Type::Path(path) = returned
        && let Some(last) = path.path.segments.last()
        && last.ident == "Result"
        && let PathArguments::AngleBracketed(given) = &last.arguments
    {
        let types: Vec<_> = given
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(of) => Some(of.to_token_stream()),
                _ => None,
            })
            .collect();
        if let [value, error] = types.as_slice() {
            return (value.clone(), error.clone());
        }
    }
    let span = returned.span();
    (
        quote_spanned!(span=> <#returned as ::seawall::Fallible>::Value),
        quote_spanned!(span=> <#returned as ::seawall::Fallible>::Error),
    )
}

/// The statements that give one attempt its arguments. Patterns move from the head into them.
fn hand_over(function: &mut ItemFn, is_async: bool) -> Result<TokenStream> {
    let mut statements = TokenStream::new();
    for (nth, argument) in function.sig.inputs.iter_mut().enumerate() {
        match argument {
            FnArg::Receiver(receiver) => {
                let by_reference = receiver.reference.is_some();
                if !by_reference {
                    let told = "`self` by value is gone after the first attempt: take `&self`";
                    return Err(Error::new(receiver.span(), told));
                }
                if receiver.mutability.is_some() && is_async {
                    let told = "`&mut self` cannot be lent to more than one attempt: take `&self`, with a lock \
                                or a cell inside";
                    return Err(Error::new(receiver.span(), told));
                }
            }
            FnArg::Typed(typed) => match &*typed.ty {
                Type::Reference(reference) if reference.mutability.is_some() => {
                    if is_async {
                        let told = "a `&mut` argument cannot be lent to more than one attempt: take a `&`, with \
                                    a lock or a cell inside";
                        return Err(Error::new(typed.ty.span(), told));
                    }
                }
                Type::Reference(_) => {}
                _ => {
                    let (name, pattern) = (named(&typed.pat, nth), (*typed.pat).clone());
                    let span = typed.ty.span();
                    statements.extend(
                        quote_spanned!(span=> let #pattern = ::core::clone::Clone::clone(&#name);),
                    );
                    typed.pat = parse_quote!(#name);
                }
            },
        }
    }
    Ok(statements)
}

/// The name under which an argument arrives.
fn named(pattern: &Pat, nth: usize) -> Ident {
    match pattern {
        Pat::Ident(ident) => ident.ident.clone(),
        _ => format_ident!("argument_{nth}"),
    }
}

fn call(
    arguments: &Arguments,
    is_async: bool,
    handed: &TokenStream,
    returned: &Type,
    body: &TokenStream,
) -> TokenStream {
    let Arguments { name, fallback, registry, classify, .. } = arguments;
    let operation = match registry {
        Some(registry) => quote!((&#registry).operation_or_alone(#name)),
        None => quote!({
            static OPERATION: ::std::sync::OnceLock<::seawall::Operation> =
                ::std::sync::OnceLock::new();
            OPERATION.get_or_init(|| ::seawall::global().operation_or_alone(#name))
        }),
    };
    let attributes = attributes(arguments);
    let classify = classify.as_ref().map(|classify| quote!(.classify(#classify)));
    // It never returns, and tells the compiler the type that `?` in the body needs to know.
    let typed = quote! {
        #[allow(unreachable_code, clippy::all)]
        if false {
            let never: #returned = loop {};
            return never;
        }
    };
    let (run, made) = if is_async {
        (quote!(async move { #typed #body }), quote!(.await))
    } else {
        (quote!((|| -> #returned { #body })()), quote!(.blocking()))
    };
    // A closure sees the arguments as the first attempt found them, and may leave them alone.
    let (fallback, falls_back) = match fallback {
        Some(fallback) => (
            quote! {
                #[allow(unused_variables, unused_mut)]
                let fallback = { #handed #fallback };
            },
            Some(quote!(.fallback(fallback))),
        ),
        None => (TokenStream::new(), None),
    };
    quote! {
        let operation = #operation;
        let attributes = #attributes;
        #fallback
        operation.run(|_| { #handed #run }).attributes(attributes) #classify #falls_back #made
    }
}

fn attributes(arguments: &Arguments) -> TokenStream {
    let Arguments { key, cost, priority, repeatable, .. } = arguments;
    let base = match key {
        Some(key) => quote!(::seawall::Attributes::of_key(&#key)),
        None => quote!(::seawall::Attributes::default()),
    };
    let fields = [("cost", cost), ("priority", priority), ("repeatable", repeatable)];
    let given = fields.iter().filter_map(|(field, value)| {
        let (field, value) = (format_ident!("{field}"), value.as_ref()?);
        Some(quote!(#field: #value,))
    });
    quote!(::seawall::Attributes { #(#given)* ..#base })
}
