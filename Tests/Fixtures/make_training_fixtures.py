#!/usr/bin/env python3
"""Makes palm-train/: a small PaLM's initial weights, 200 batches of text, and the loss curves PyTorch gets from them.

    python make_training_fixtures.py

palm-train/config.json              the configuration
palm-train/model.safetensors        initial weights, float32
palm-train/text.txt                 the text, ASCII (Shakespeare's sonnets 18, 29, 30, 73, 116 and 130)
palm-train/batches.safetensors      tokens int32 [200, 4, 33]: the text's bytes; row r of step s (both from 0) starts at
                                    byte ((4 s + r) * 2654435761) mod (length - 32)
palm-train/losses.json              {"float32Deviation": {optimizer: the largest |float32 - float64|}, "runs": [...]}
A run, adafactor and adamw in float64 and float32 each (palm_train_reference.py says what they are; AdamW has betas 0.9
and 0.95, eps 1e-8, weight decay 0.1): {"optimizer", "dtype", "lr", "clip", "losses", "crossEntropy" and
"gradientNorms": [200] each, "finalNorms": {weight: its L2 norm after the last step}}.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file

import palm_reference as palm
from palm_train_reference import train

HERE = pathlib.Path(__file__).parent
STEPS, ROWS, LENGTH = 200, 4, 32
CONFIGURATION = dict(vocabularySize=128, width=32, layers=2, heads=4, headDim=16, feedForward=128, norm="layernorm",
                     normEps=1e-6, ropeTheta=10000.0, ropeLayout="half", zLoss=1e-4, tieEmbeddings=True)
RATES = {"adafactor": 0.01, "adamw": 0.001}

TEXT = """\
Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date:
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade
Nor lose possession of that fair thou owest;
Nor shall Death brag thou wander'st in his shade,
When in eternal lines to time thou growest:
So long as men can breathe or eyes can see,
So long lives this and this gives life to thee.

When, in disgrace with fortune and men's eyes,
I all alone beweep my outcast state
And trouble deaf heaven with my bootless cries
And look upon myself and curse my fate,
Wishing me like to one more rich in hope,
Featured like him, like him with friends possess'd,
Desiring this man's art and that man's scope,
With what I most enjoy contented least;
Yet in these thoughts myself almost despising,
Haply I think on thee, and then my state,
Like to the lark at break of day arising
From sullen earth, sings hymns at heaven's gate;
For thy sweet love remember'd such wealth brings
That then I scorn to change my state with kings.

When to the sessions of sweet silent thought
I summon up remembrance of things past,
I sigh the lack of many a thing I sought,
And with old woes new wail my dear time's waste:
Then can I drown an eye, unused to flow,
For precious friends hid in death's dateless night,
And weep afresh love's long since cancell'd woe,
And moan the expense of many a vanish'd sight:
Then can I grieve at grievances foregone,
And heavily from woe to woe tell o'er
The sad account of fore-bemoaned moan,
Which I new pay as if not paid before.
But if the while I think on thee, dear friend,
All losses are restored and sorrows end.

That time of year thou mayst in me behold
When yellow leaves, or none, or few, do hang
Upon those boughs which shake against the cold,
Bare ruin'd choirs, where late the sweet birds sang.
In me thou seest the twilight of such day
As after sunset fadeth in the west,
Which by and by black night doth take away,
Death's second self, that seals up all in rest.
In me thou see'st the glowing of such fire
That on the ashes of his youth doth lie,
As the death-bed whereon it must expire
Consumed with that which it was nourish'd by.
This thou perceivest, which makes thy love more strong,
To love that well which thou must leave ere long.

Let me not to the marriage of true minds
Admit impediments. Love is not love
Which alters when it alteration finds,
Or bends with the remover to remove:
O no! it is an ever-fixed mark
That looks on tempests and is never shaken;
It is the star to every wandering bark,
Whose worth's unknown, although his height be taken.
Love's not Time's fool, though rosy lips and cheeks
Within his bending sickle's compass come:
Love alters not with his brief hours and weeks,
But bears it out even to the edge of doom.
If this be error and upon me proved,
I never writ, nor no man ever loved.

My mistress' eyes are nothing like the sun;
Coral is far more red than her lips' red;
If snow be white, why then her breasts are dun;
If hairs be wires, black wires grow on her head.
I have seen roses damask'd, red and white,
But no such roses see I in her cheeks;
And in some perfumes is there more delight
Than in the breath that from my mistress reeks.
I love to hear her speak, yet well I know
That music hath a far more pleasing sound;
I grant I never saw a goddess go;
My mistress, when she walks, treads on the ground:
And yet, by heaven, I think my love as rare
As any she belied with false compare.
"""


def main():
    torch.set_num_threads(1)
    folder = HERE / "palm-train"
    folder.mkdir(exist_ok=True)
    text = TEXT.encode("ascii")
    starts = [((ROWS * s + r) * 2654435761) % (len(text) - LENGTH) for s in range(STEPS) for r in range(ROWS)]
    tokens = torch.tensor([list(text[i:i + LENGTH + 1]) for i in starts]).reshape(STEPS, ROWS, LENGTH + 1)
    weights = palm.initialise(CONFIGURATION, seed=42)

    runs, deviation = [], {}
    for optimizer, lr in RATES.items():
        curves = {}
        for dtype in ["float64", "float32"]:
            given = {k: w.to(getattr(torch, dtype)) for k, w in weights.items()}
            losses, cross_entropies, norms, trained = train(CONFIGURATION, given, tokens, STEPS, optimizer, lr)
            curves[dtype] = losses
            runs.append({"optimizer": optimizer, "dtype": dtype, "lr": lr, "clip": 1.0, "losses": losses,
                         "crossEntropy": cross_entropies, "gradientNorms": norms,
                         "finalNorms": {k: float(w.double().norm()) for k, w in trained.items()}})
            print(f"{optimizer} {dtype}: loss {losses[0]:.4f} -> {losses[-1]:.4f}")
        deviation[optimizer] = max(abs(a - b) for a, b in zip(curves["float32"], curves["float64"]))
    print("float32 deviates from float64 by", deviation)

    (folder / "config.json").write_text(json.dumps(CONFIGURATION, indent=2) + "\n")
    (folder / "text.txt").write_bytes(text)
    save_file(weights, folder / "model.safetensors")
    save_file({"tokens": tokens.int()}, folder / "batches.safetensors")
    lines = ",\n".join(json.dumps(r) for r in runs)
    (folder / "losses.json").write_text(f'{{"float32Deviation": {json.dumps(deviation)},\n"runs": [\n{lines}\n]}}\n')
    for file in folder.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    main()
