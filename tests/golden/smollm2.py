"""SmolLM2-135M-Instruct as an independent implementation runs it.

transformers reads the GGUF itself (its reader undoes the permutation of q and k, gguf-py decodes
Q4_1 and Q8_0) and runs LlamaForCausalLM in float32 on the CPU. For each of 20 prompts, rendered with
the model's chat template, smollm2.json has

    text, prompt      the rendered prompt and its token ids
    greedy            the 96 most likely next tokens, one after another, also past the end of turn
    margins           by how much the logit of each was ahead of the runner-up's
    top_ids, top      the 32 largest logits after the prompt
    sampled           the logits after the prompt of token 0, 256, 512, ...

Where the reference's own margin is below 1e-3, rounding may decide otherwise: a divergence there is
a near-tie and ends the comparison of that prompt; anywhere else it is an error.
"""

import json

import gguf
import torch
from jinja2 import Environment
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, DynamicCache

STEPS = 96
CONVERSATIONS = [
    ["What is the capital of France, and what is it known for?"],
    ["Write a short story about a lighthouse keeper who finds a message in a bottle."],
    ["Explain how photosynthesis works to a ten-year-old."],
    ["List five tips for learning a new language."],
    ["Write a Python function that returns the n-th Fibonacci number."],
    ["What is 17 + 25? Think step by step."],
    ["Translate to French: Good morning, how are you today?"],
    ["Summarise the plot of Romeo and Juliet in three sentences."],
    ["Why is the sky blue?"],
    ["Give me a recipe for pancakes with exact amounts."],
    ["Compare cats and dogs as pets."],
    ["Who wrote 'Pride and Prejudice', and when was it published?"],
    ["Write a haiku about autumn leaves."],
    ["What are the main differences between TCP and UDP?"],
    ["Describe the water cycle."],
    ["你好！请介绍一下你自己。"],
    ["Write a SQL query: all customers with more than 3 orders in 2024."],
    ["My name is Ada.", "Hello Ada! How can I help you today?", "What is my name?"],
    ["Convert 100 degrees Fahrenheit to Celsius. 🌡️"],
    ["Hi"],
]
SYSTEM = {3: "You are a pirate. Answer like one.", 9: "Answer in bullet points only."}


def _tokenizer(fields):
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    control = int(gguf.TokenType.CONTROL)
    tokenizer.add_special_tokens(
        [AddedToken(t, normalized=False) for t, k in zip(tokens, kinds) if k == control])
    return tokenizer


def _rendered(template, number, turns):
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    if number in SYSTEM:
        messages.insert(0, {"role": "system", "content": SYSTEM[number]})
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(messages=messages, add_generation_prompt=True)


@torch.no_grad()
def _greedy(model, prompt):
    cache = DynamicCache(config=model.config)
    row = model(torch.tensor([prompt]), past_key_values=cache).logits[0, -1]
    first = row.clone()
    ids, margins = [], []
    for _ in range(STEPS):
        best = row.topk(2)
        ids.append(best.indices[0].item())
        margins.append((best.values[0] - best.values[1]).item())
        row = model(torch.tensor([[ids[-1]]]), past_key_values=cache).logits[0, -1]
    return first, ids, margins


def make(gguf_path, out):
    fields = gguf.GGUFReader(gguf_path).fields
    tokenizer = _tokenizer(fields)
    template = fields["tokenizer.chat_template"].contents()
    model = AutoModelForCausalLM.from_pretrained(
        gguf_path.parent, gguf_file=gguf_path.name, dtype=torch.float32,
        attn_implementation="eager").eval()

    def rounded(values):
        return [float(f"{v:.7g}") for v in values]

    prompts = []
    for number, turns in enumerate(CONVERSATIONS):
        text = _rendered(template, number, turns)
        prompt = tokenizer.encode(text, add_special_tokens=False).ids
        first, ids, margins = _greedy(model, prompt)
        top = first.topk(32)
        prompts.append({
            "text": text, "prompt": prompt, "greedy": ids, "margins": rounded(margins),
            "top_ids": top.indices.tolist(), "top": rounded(top.values.tolist()),
            "sampled": rounded(first[::256].tolist()),
        })
        print(number, f"{min(margins):.4f}", repr(tokenizer.decode(ids)[:100]), flush=True)
    lines = ",\n".join(json.dumps(p, ensure_ascii=False, separators=(",", ":")) for p in prompts)
    out.write_text("[\n" + lines + "\n]\n")
