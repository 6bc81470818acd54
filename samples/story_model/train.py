"""Trains the bundled story model: a byte-level BPE tokenizer and a small Llama, on one text file, on the CPU.

usage: train.py TEXT OUT_DIR [MINUTES [THREADS]]

TEXT holds stories separated by <|endoftext|>; the last 64 are held out. OUT_DIR becomes a BF16 Hugging Face folder.
Needs python3-torch, python3-tokenizers and python3-safetensors. The learning rate follows the clock, so the run ends
annealed after MINUTES whatever the machine; what is kept is the moving average of the weights with the best held-out
loss. The text is small (0.6 M tokens, tens of epochs), hence dropout and weight decay.
"""
import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WIDTH, FFN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT = 256, 640, 4, 4, 2, 1024, 512
HEAD_DIM, EPS, THETA, DROPOUT = WIDTH // HEADS, 1e-5, 10000.0, 0.1
SEQUENCE, BATCH, PEAK_LR, WEIGHT_DECAY, AVERAGE = 256, 16, 2e-3, 0.3, 0.995
END = "<|endoftext|>"


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        linear = lambda k, n: torch.nn.Linear(k, n, bias=False)
        self.q_proj, self.o_proj = linear(WIDTH, HEADS * HEAD_DIM), linear(HEADS * HEAD_DIM, WIDTH)
        self.k_proj, self.v_proj = linear(WIDTH, KV_HEADS * HEAD_DIM), linear(WIDTH, KV_HEADS * HEAD_DIM)
        self.gate_proj, self.up_proj, self.down_proj = linear(WIDTH, FFN), linear(WIDTH, FFN), linear(FFN, WIDTH)
        self.input_layernorm = torch.nn.Parameter(torch.ones(WIDTH))
        self.post_attention_layernorm = torch.nn.Parameter(torch.ones(WIDTH))

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        drop = lambda y: F.dropout(y, DROPOUT, self.training)
        h = F.rms_norm(x, (WIDTH,), self.input_layernorm, EPS)
        heads = lambda y, n: y.view(b, t, n, HEAD_DIM).transpose(1, 2)
        q, k, v = heads(self.q_proj(h), HEADS), heads(self.k_proj(h), KV_HEADS), heads(self.v_proj(h), KV_HEADS)
        rotate = lambda y: y * cos + torch.cat((-y[..., HEAD_DIM // 2:], y[..., : HEAD_DIM // 2]), -1) * sin
        repeat = lambda y: y.repeat_interleave(HEADS // KV_HEADS, dim=1)
        a = F.scaled_dot_product_attention(rotate(q), repeat(rotate(k)), repeat(v), is_causal=True)
        x = x + drop(self.o_proj(a.transpose(1, 2).reshape(b, t, WIDTH)))
        h = F.rms_norm(x, (WIDTH,), self.post_attention_layernorm, EPS)
        return x + drop(self.down_proj(F.silu(self.gate_proj(h)) * self.up_proj(h)))


class Llama(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(VOCAB, WIDTH)
        self.layers = torch.nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = torch.nn.Parameter(torch.ones(WIDTH))
        for p in self.parameters():
            if p.dim() > 1:
                torch.nn.init.normal_(p, std=0.02)
        angle = torch.outer(torch.arange(CONTEXT), THETA ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)).repeat(1, 2)
        self.cos, self.sin = angle.cos(), angle.sin()

    def forward(self, ids):
        x = F.dropout(self.embed(ids), DROPOUT, self.training)
        for layer in self.layers:
            x = layer(x, self.cos[: ids.shape[1]], self.sin[: ids.shape[1]])
        return F.linear(F.rms_norm(x, (WIDTH,), self.norm, EPS), self.embed.weight)


def make_tokenizer(stories):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tok.train_from_iterator(stories, trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=[END], initial_alphabet=alphabet))
    tok.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, 0)])
    return tok


def hugging_face_tensors(model):
    tensors = {"model.embed_tokens.weight": model.embed.weight, "model.norm.weight": model.norm}
    for i, layer in enumerate(model.layers):
        for name, p in layer.named_parameters():
            stem = name.split(".")[0]
            part = "self_attn." if stem[0] in "qkvo" else "mlp." if stem.endswith("_proj") else ""
            if stem in ("post_attention_layernorm", "input_layernorm"):
                part = ""
            tensors[f"model.layers.{i}.{part}{stem}.weight"] = p
    return {k: v.detach().to(torch.bfloat16).contiguous() for k, v in tensors.items()}


def save(model, tok, out):
    os.makedirs(out, exist_ok=True)
    save_file(hugging_face_tensors(model), os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    tok.save(os.path.join(out, "tokenizer.json"))
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": WIDTH,
              "intermediate_size": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
              "head_dim": HEAD_DIM, "vocab_size": VOCAB, "max_position_embeddings": CONTEXT, "rms_norm_eps": EPS, "rope_theta": THETA,
              "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False, "bos_token_id": 0, "eos_token_id": 0,
              "torch_dtype": "bfloat16"}
    token = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END, "model_max_length": CONTEXT,
             "clean_up_tokenization_spaces": False}
    generation = {"bos_token_id": 0, "eos_token_id": 0}
    for name, content in (("config.json", config), ("tokenizer_config.json", token), ("generation_config.json", generation)):
        with open(os.path.join(out, name), "w", encoding="utf-8") as f:
            json.dump(content, f, indent=2)
            f.write("\n")


def main():
    text, out = sys.argv[1:3]
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 60
    torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 2)
    torch.manual_seed(7)
    with open(text, encoding="utf-8") as f:
        stories = [s.strip() for s in f.read().split(END) if s.strip()][:-1]  # the last piece is cut off
    train_stories, held = stories[:-64], stories[-64:]
    tok = make_tokenizer(train_stories)
    stream = lambda texts: torch.tensor([i for t in texts for i in tok.encode(t).ids])  # each story begins with END
    train, val = stream(train_stories), stream(held)
    model, average = Llama(), Llama()
    average.load_state_dict(model.state_dict())
    print(f"{len(train_stories)} stories, {len(train)} tokens, held out {len(val)}, "
          f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": WEIGHT_DECAY},
              {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_LR, betas=(0.9, 0.95), fused=True)

    def loss_of(net, x):
        return F.cross_entropy(net(x)[:, :-1].reshape(-1, VOCAB), x[:, 1:].reshape(-1))

    def evaluate():
        average.eval()
        with torch.no_grad():
            windows = val[: len(val) // SEQUENCE * SEQUENCE].view(-1, SEQUENCE)
            return sum(loss_of(average, w[None]).item() for w in windows) / len(windows)

    best, start, step = math.inf, time.time(), 0
    while (frac := (time.time() - start) / (60 * minutes)) < 1:
        lr = PEAK_LR * min(1.0, (step + 1) / 200) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * frac)))
        for g in optimizer.param_groups:
            g["lr"] = lr
        at = torch.randint(0, len(train) - SEQUENCE, (BATCH,))
        loss = loss_of(model.train(), torch.stack([train[i : i + SEQUENCE] for i in at]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        with torch.no_grad():
            for a, p in zip(average.parameters(), model.parameters()):
                a.lerp_(p, 1 - min(AVERAGE, step / (step + 10)))
        if step % 100 == 0:
            v = evaluate()
            if v < best:
                best = v
                save(average, tok, out)
            print(f"step {step} loss {loss.item():.4f} held-out {v:.4f} best {best:.4f} lr {lr:.2e} {time.time() - start:.0f} s", flush=True)


main()
