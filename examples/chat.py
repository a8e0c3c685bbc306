"""A conversation from Python: answers appear as they come, and what was said is not read again.

python examples/chat.py [MODEL]
"""

import sys

import localrun

model = sys.argv[1] if len(sys.argv) > 1 else "smollm2-135m"
messages: list[dict[str, str]] = []

with localrun.open(model) as llm:
    for question in ("Name three primary colours.", "Which of them is the colour of the sky?"):
        print(f"> {question}")
        messages.append({"role": "user", "content": question})
        answer = ""
        for chunk in llm.chat(messages, temp=0, max_tokens=40):
            print(chunk.text, end="", flush=True)
            answer += chunk.text
        if chunk.result:
            print(f"\n({chunk.result['usage']['cached_tokens']} tokens of the conversation were still known)")
        messages.append({"role": "assistant", "content": answer})
