"""Asks a gateway through the real clients, and prints what each of them made of its streams, a line of JSON each."""

import json
import sys

import anthropic
import openai
from google import genai

ADDRESS = sys.argv[1]
OPENAI = openai.OpenAI(api_key="none", base_url=f"{ADDRESS}/v1", max_retries=0)
ANTHROPIC = anthropic.Anthropic(api_key="none", base_url=ADDRESS, max_retries=0)
GEMINI = genai.Client(api_key="none", http_options={"base_url": ADDRESS})
ASKED = [{"role": "user", "content": "hello"}]


def chat(model):
    chunks = OPENAI.chat.completions.create(model=model, messages=ASKED, stream=True)
    return [choice.delta.content for chunk in chunks for choice in chunk.choices]


def responses(model):
    return [event.type for event in OPENAI.responses.create(model=model, input="hello", stream=True)]


def messages(model):
    with ANTHROPIC.messages.stream(model=model, max_tokens=9, messages=ASKED) as stream:
        return list(stream.text_stream)


def generate_content(model):
    chunks = GEMINI.models.generate_content_stream(model=model, contents="hello")
    return [chunk.text for chunk in chunks]


for ask in (chat, responses, messages, generate_content):
    for model in ("whole", "early", "half", "refused"):
        try:
            outcome = ask(model)
        except (openai.APIError, anthropic.APIError, genai.errors.APIError) as error:
            outcome = type(error).__name__
        print(json.dumps([ask.__name__, model, outcome]))
