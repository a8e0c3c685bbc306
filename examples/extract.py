"""Facts out of a text, as JSON that a schema binds: the model cannot answer in another shape.

python examples/extract.py [MODEL]
"""

import json
import sys
from pathlib import Path

import localrun

model = sys.argv[1] if len(sys.argv) > 1 else "smollm2-135m"
text = "Ada Lovelace was born in London in 1815."

with localrun.open(model, schema=Path(__file__).with_name("person.json")) as llm:
    person = json.loads(llm.ask(f"{text} Who was born, and in which year? Answer in JSON.", temp=0))
print(person["name"], person["born"], sep=", ")
