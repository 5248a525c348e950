package main

import (
	"fmt"
	"strings"

	agent "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/agent/v1"
)

// What a day of roaming costs, by destination as customers write it in English and in German.
var dayPasses = []struct{ english, german, price string }{
	{"Switzerland", "Schweiz", "3.99"},
	{"Turkey", "Türkei", "5.99"},
	{"United States", "USA", "7.99"},
	{"Thailand", "Thailand", "9.99"},
}

var card = &agent.AgentCard{
	Name:        "roaming-agent",
	Version:     "1.0.0",
	Description: "Tells what it costs to use the mobile phone abroad.",
	Provider:    &agent.Provider{Organization: "Roaming team"},
	Locales:     []string{"en", "de"},
	Capabilities: []*agent.Capability{{
		Id:          "roaming-costs",
		Name:        "Roaming costs",
		Version:     "1.0.0",
		Description: "Tells the price of calls and mobile data in another country, and of day passes for travellers.",
		Tags:        []string{"mobile", "travel"},
		Examples: map[string]*agent.Examples{
			"en": {Phrases: []string{
				"what does roaming cost in Switzerland",
				"how much is mobile data abroad",
				"can I use my phone in the USA",
				"roaming charges for Turkey",
				"is roaming included in the EU",
				"what do I pay for calls when I am on holiday abroad",
				"do I need a travel pass for Thailand",
				"price of a roaming day pass",
			}},
			"de": {Phrases: []string{
				"was kostet Roaming in der Schweiz",
				"wie teuer sind mobile Daten im Ausland",
				"kann ich mein Handy in den USA benutzen",
				"Roaminggebühren Türkei",
				"ist Roaming in der EU inklusive",
				"was zahle ich für Anrufe im Urlaub im Ausland",
				"brauche ich einen Tagespass für Thailand",
				"Preis für einen Roaming-Tagespass",
			}},
		},
	}},
}

func answer(text, locale string) string {
	german := isGerman(text, locale)
	said := strings.ToLower(text)
	for _, pass := range dayPasses {
		if !strings.Contains(said, strings.ToLower(pass.english)) && !strings.Contains(said, strings.ToLower(pass.german)) {
			continue
		}
		if german {
			price := strings.Replace(pass.price, ".", ",", 1)
			return fmt.Sprintf("Ein Tagespass für Daten (%s) kostet %s €; er gilt 24 Stunden und endet von selbst.", pass.german, price)
		}
		return fmt.Sprintf("A day pass for data (%s) is €%s; it lasts 24 hours and ends by itself.", pass.english, pass.price)
	}
	if german {
		return "In der EU nutzen Sie Ihren Tarif wie zu Hause, ohne Aufpreis. Außerhalb gibt es Tagespässe: sagen Sie mir, wohin die Reise geht."
	}
	return "In the EU your tariff works as at home, at no extra cost. Outside of it there are day passes: tell me where you are going."
}

func isGerman(text, locale string) bool {
	for _, word := range strings.Fields(strings.ToLower(text)) {
		switch strings.Trim(word, "?!.,") {
		case "was", "wie", "ich", "ist", "kostet", "für", "im", "der", "den", "und":
			return true
		case "what", "how", "is", "the", "does", "can", "much", "for":
			return false
		}
	}
	return strings.HasPrefix(locale, "de")
}
