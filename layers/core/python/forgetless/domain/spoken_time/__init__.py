"""Times as people write them, in seven languages. `domain/time_words.py` and `domain/question_dates.py` use it."""
