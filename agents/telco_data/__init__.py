"""The customers of a small telecom company, for the sample agents: made-up people, prices and faults."""

from agents.telco_data.caller import asking_for_number, customer_of
from agents.telco_data.customers import CustomerData, customer_data
from agents.telco_data.language import Language, language_of, words
from agents.telco_data.speech import choice_of, date_in, introduction, list_in, money_in, month_in, said_yes, spoken

__all__ = [
    "CustomerData",
    "Language",
    "asking_for_number",
    "choice_of",
    "customer_data",
    "customer_of",
    "date_in",
    "introduction",
    "language_of",
    "list_in",
    "money_in",
    "month_in",
    "said_yes",
    "spoken",
    "words",
]
