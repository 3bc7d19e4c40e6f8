"""The *.golden file: prompts and the logits a reference gave for them.

Little-endian int32 and float32, no padding:
    int32 vocab_size, prompts
    for each prompt:
        int32 length, rows
        int32 tokens[length]
        int32 positions[rows]              which positions have logits, ascending
        float32 logits[rows][vocab_size]
"""

import numpy as np

PROMPT_LENGTHS = (1, 2, 7, 33, 300)


def positions_kept(length):
    """All of a short prompt; of a long one every tenth and the last."""
    if length < 100:
        return list(range(length))
    return sorted(set(range(0, length, 10)) | {length - 1})


def random_prompts(vocab_size, seed, lengths=PROMPT_LENGTHS):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, vocab_size, n).tolist() for n in lengths]


def write(path, vocab_size, answers):
    """answers: [(tokens, positions, logits [rows, vocab_size])]"""
    with open(path, "wb") as f:
        np.array([vocab_size, len(answers)], "<i4").tofile(f)
        for tokens, positions, logits in answers:
            assert logits.shape == (len(positions), vocab_size)
            assert np.isfinite(logits).all()
            np.array([len(tokens), len(positions)], "<i4").tofile(f)
            np.array(tokens, "<i4").tofile(f)
            np.array(positions, "<i4").tofile(f)
            np.asarray(logits, "<f4").tofile(f)
