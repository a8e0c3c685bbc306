"""Text for measurements: different words in random order. Pure.

A prompt of one token repeated would send all tokens of a mixture to the same few experts, which are then read several
times faster than those that text meets.
"""

from collections.abc import Sequence
from random import Random

# Each is one token, with the space before it, in the vocabularies of today's models.
_WORDS = """
the of and to in is it you he was for on are as his they at be this from have or by one had not but what all were we
when your can said there use an each which she do how their if will up other about out many then them these so some
her would make like him into time has look two more go see no way could people my than first been call who its now
find long down day did get come made may part over new sound take only little work know place year live me back give
most very after thing our just name good man think say great where help through much before line right too mean old
any same tell boy follow came want show also around form three small set put end does another well large must big
even such because turn here why ask went men read need land different home us move try kind hand again change off
play air away house point page letter answer found study still learn should world high every near add food between
own below country last school keep never start city earth eye light thought head under story saw left few while
along might close something seem next hard open example begin life always those both paper together got group often
run important until children side feet car mile night walk white sea began grow took river four carry state once
"""
COMMON = tuple(_WORDS.split())


def varied(tokens: int, words: Sequence[str] = COMMON, seed: int = 1) -> str:
    """A text of so many tokens, where each of the words is one with the space before it."""
    return "".join(f" {word}" for word in Random(seed).choices(words, k=tokens))
