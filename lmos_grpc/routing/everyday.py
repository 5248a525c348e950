"""What people also say: phrases about anything and everything, which most capabilities of most meshes are not for."""

from __future__ import annotations

EVERYDAY = {
    "en": tuple(
        """
what is the capital of portugal
who painted the mona lisa
how far away is the moon
tell me a joke
what will the weather be like tomorrow
how do I bake bread without yeast
who won the football match last night
what does this word mean in french
write a poem about the sea
how tall is mount everest
why is the sky blue
what is the square root of two hundred
can dogs eat chocolate
how do I get a stain out of a shirt
recommend a good book about history
what time is it in tokyo
who is the president of brazil
how long do I boil an egg
is there life on other planets
what should I name my cat
how many people live in india
play some music
what is the meaning of life
how do I tie a tie
which film won the most awards
what are the rules of chess
how do vaccines work
when did the war end
where do penguins live
how do I fix a flat tire on my bicycle
what is the best way to learn the piano
do plants feel pain
who invented the telephone
how many calories are in an apple
what is a black hole
explain how photosynthesis works
how do I write a python function
what is the stock price of that company
is it going to rain this weekend
find me a recipe for lasagna
how old is the universe
who wrote romeo and juliet
what is the fastest animal on land
how do I grow tomatoes on a balcony
what causes headaches
where can I go hiking around here
what is the population of canada
how do airplanes stay in the air
what language do they speak in iceland
tell me something interesting
my neighbour plays loud music at night
I had a strange dream
should I buy or rent a house
what is the difference between a crocodile and an alligator
how do I train for a marathon
are you a robot
what did you do today
I am bored
what is for dinner
which team is leading the league
how do I meditate
how deep is the ocean
name all the planets
when is the next full moon
how does an electric engine work
what is a good gift for my father
can you help me with my homework
who sings this song
how do I remove a virus from a laptop
what are the side effects of aspirin
is coffee bad for you
how do I change the oil in a car
what is the tallest building in the world
which countries are in europe
how do you make ice cream
what happened on this day in history
why do cats purr
how much does an elephant weigh
where was the queen born
what is quantum physics
how do I apply for a passport
who discovered america
what is the exchange rate of the dollar
how do I lose weight
what is on television tonight
can I get a haircut today
book a table at an italian restaurant
when does the train to the city leave
what is the speed limit here
how do I become a lawyer
turn on the lights
set an alarm for seven
how many teeth does a shark have
what are the symptoms of the flu
how do I paint a wall
which vitamins are in carrots
what is the plot of that movie
does the museum open on sundays
how do I say thank you in japanese
what is artificial intelligence
do fish sleep
what colour goes with green
how do I calculate the area of a circle
what size shoes should I buy
who was the first person in space
how do bees make honey
what is inflation
my plants are dying
give me a fun fact
""".strip().splitlines()
    ),
    "de": tuple(
        """
wie wird das wetter morgen
wer hat die glühbirne erfunden
erzähl mir einen witz
wie hoch ist der eiffelturm
was ist die hauptstadt von spanien
wie backe ich einen apfelkuchen
wer hat gestern das spiel gewonnen
wie viele einwohner hat berlin
warum ist der himmel blau
was soll ich heute kochen
wann fährt der nächste zug
was bedeutet dieses wort auf englisch
wie alt ist die erde
welcher film läuft heute im kino
spiel etwas musik
was ist der sinn des lebens
wie lerne ich am besten klavier
wo kann man hier gut essen
wie spät ist es in new york
was hilft gegen kopfschmerzen
wie heißt der bundeskanzler
mir ist langweilig
wie groß ist ein elefant
was kann ich meiner mutter schenken
wie entferne ich einen fleck aus der hose
wie funktioniert ein motor
wann beginnt der sommer
wie viele planeten gibt es
kannst du mir bei den hausaufgaben helfen
wie wechsle ich einen reifen
""".strip().splitlines()
    ),
}
"""By language; the language of a mesh is the one in which they come nearest to it."""
