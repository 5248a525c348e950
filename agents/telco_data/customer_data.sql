-- The customers of a small telecom company. Everybody and everything in here is made up.
-- day(n) is the day n days from today, month(n) the first day of the month n months from this one,
-- so that the data never age. Money is in euro cents.

CREATE TABLE customers (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  city TEXT NOT NULL
) STRICT;

INSERT INTO customers VALUES
  ('C-1001', 'Anna Becker', 'Cologne'),
  ('C-1002', 'James Carter', 'Leipzig'),
  ('C-1003', 'Leyla Demir', 'Hamburg');

CREATE TABLE tariffs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('internet', 'mobile')),
  name TEXT NOT NULL,
  monthly_cents INTEGER NOT NULL,
  content_en TEXT NOT NULL,
  content_de TEXT NOT NULL,
  notice_days INTEGER NOT NULL
) STRICT;

INSERT INTO tariffs VALUES
  ('fibre-100', 'internet', 'Fibre 100', 3495, '100 Mbit/s down, 50 up', '100 Mbit/s im Download, 50 im Upload', 30),
  ('fibre-250', 'internet', 'Fibre 250', 4495, '250 Mbit/s down, 100 up', '250 Mbit/s im Download, 100 im Upload', 30),
  ('fibre-1000', 'internet', 'Fibre 1000', 6995, '1,000 Mbit/s down, 500 up', '1.000 Mbit/s im Download, 500 im Upload', 30),
  ('mobile-s', 'mobile', 'Mobile S', 1295, '10 GB of data, unlimited calls', '10 GB Daten, Telefonie-Flat', 30),
  ('mobile-m', 'mobile', 'Mobile M', 1995, '40 GB of data, unlimited calls', '40 GB Daten, Telefonie-Flat', 30),
  ('mobile-l', 'mobile', 'Mobile L', 2995, 'unlimited data and calls', 'unbegrenzte Daten, Telefonie-Flat', 30);

CREATE TABLE contracts (
  id TEXT PRIMARY KEY,
  customer_id TEXT NOT NULL REFERENCES customers,
  tariff_id TEXT NOT NULL REFERENCES tariffs,
  number TEXT NOT NULL,      -- the line or telephone number
  started_on TEXT NOT NULL,
  minimum_until TEXT NOT NULL,
  cancelled_on TEXT,
  ends_on TEXT
) STRICT;

INSERT INTO contracts VALUES
  ('K-2001', 'C-1001', 'fibre-250', '0221 555 0142', month(-13), month(11), NULL, NULL),
  ('K-2002', 'C-1001', 'mobile-m', '0151 555 0142', month(-30), month(-6), NULL, NULL),
  ('K-2003', 'C-1002', 'fibre-100', '0341 555 0177', month(-8), month(16), NULL, NULL),
  ('K-2004', 'C-1003', 'fibre-1000', '040 555 0119', month(-25), month(-1), day(-12), day(18)),
  ('K-2005', 'C-1003', 'mobile-l', '0171 555 0119', month(-5), month(19), NULL, NULL);

-- An invoice is issued on the first of its month.
CREATE TABLE invoices (
  id TEXT PRIMARY KEY,
  customer_id TEXT NOT NULL REFERENCES customers,
  month TEXT NOT NULL,
  due_on TEXT NOT NULL,
  direct_debit INTEGER NOT NULL,
  paid_on TEXT
) STRICT;

INSERT INTO invoices (id, customer_id, month, due_on, direct_debit) VALUES
  ('R-3001', 'C-1001', month(-2), date(month(-2), '+14 days'), 1),
  ('R-3002', 'C-1001', month(-1), date(month(-1), '+14 days'), 1),
  ('R-3003', 'C-1001', month(0), date(month(0), '+14 days'), 1),
  ('R-3004', 'C-1002', month(-1), date(month(-1), '+14 days'), 0),
  ('R-3005', 'C-1002', month(0), date(month(0), '+14 days'), 0),
  ('R-3006', 'C-1003', month(-1), date(month(-1), '+14 days'), 1),
  ('R-3007', 'C-1003', month(0), date(month(0), '+14 days'), 1);

UPDATE invoices SET paid_on = due_on WHERE direct_debit AND due_on <= day(0);

-- Lines of two invoices with one subject are compared with each other.
CREATE TABLE invoice_lines (
  invoice_id TEXT NOT NULL REFERENCES invoices,
  subject TEXT NOT NULL,
  text_en TEXT NOT NULL,
  text_de TEXT NOT NULL,
  cents INTEGER NOT NULL,
  PRIMARY KEY (invoice_id, subject)
) STRICT;

INSERT INTO invoice_lines VALUES
  ('R-3001', 'internet', 'Fibre 250', 'Fibre 250', 4495),
  ('R-3001', 'mobile', 'Mobile M', 'Mobile M', 1995),
  ('R-3001', 'welcome', 'Welcome discount on Fibre 250', 'Willkommensrabatt auf Fibre 250', -1000),
  ('R-3002', 'internet', 'Fibre 250', 'Fibre 250', 4495),
  ('R-3002', 'mobile', 'Mobile M', 'Mobile M', 1995),
  ('R-3002', 'welcome', 'Welcome discount on Fibre 250', 'Willkommensrabatt auf Fibre 250', -1000),
  ('R-3003', 'internet', 'Fibre 250', 'Fibre 250', 4495),
  ('R-3003', 'mobile', 'Mobile M', 'Mobile M', 1995),
  ('R-3003', 'roaming', 'Three day passes for data in Switzerland', 'Drei Tagespässe für Daten in der Schweiz', 1197),
  ('R-3003', 'film', 'One film from the video store', 'Ein Film aus der Videothek', 499),
  ('R-3004', 'internet', 'Fibre 100', 'Fibre 100', 3495),
  ('R-3004', 'setup', 'Set-up of the second telephone line', 'Einrichtung der zweiten Telefonleitung', 3990),
  ('R-3005', 'internet', 'Fibre 100', 'Fibre 100', 3495),
  ('R-3006', 'internet', 'Fibre 1000', 'Fibre 1000', 6995),
  ('R-3006', 'mobile', 'Mobile L', 'Mobile L', 2995),
  ('R-3007', 'internet', 'Fibre 1000', 'Fibre 1000', 6995),
  ('R-3007', 'mobile', 'Mobile L', 'Mobile L', 2995);

-- What a measurement of the line would find.
CREATE TABLE lines (
  contract_id TEXT PRIMARY KEY REFERENCES contracts,
  finding TEXT NOT NULL CHECK (finding IN ('router', 'line', 'outage', 'healthy')),
  signal_dbm REAL NOT NULL,  -- optical power at the customer's; below -27 is too weak
  sync_mbit INTEGER NOT NULL,
  repaired_by TEXT           -- for an outage
) STRICT;

INSERT INTO lines VALUES
  ('K-2001', 'router', -19.4, 0, NULL),
  ('K-2003', 'line', -31.2, 12, NULL),
  ('K-2004', 'outage', -40.0, 0, day(1));

CREATE TABLE visits (
  id TEXT PRIMARY KEY,
  visits_on TEXT NOT NULL,
  from_hour INTEGER NOT NULL,
  until_hour INTEGER NOT NULL,
  customer_id TEXT REFERENCES customers  -- NULL: still free
) STRICT;

INSERT INTO visits VALUES
  ('V-1', day(1), 8, 12, NULL),
  ('V-2', day(1), 13, 17, NULL),
  ('V-3', day(2), 8, 12, NULL),
  ('V-4', day(2), 13, 17, NULL),
  ('V-5', day(3), 8, 12, NULL),
  ('V-6', day(3), 13, 17, NULL);

CREATE TABLE orders (
  id TEXT PRIMARY KEY,
  customer_id TEXT NOT NULL REFERENCES customers,
  item_en TEXT NOT NULL,
  item_de TEXT NOT NULL,
  ordered_on TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('in preparation', 'on its way', 'delivered')),
  expected_on TEXT NOT NULL,
  tracking_number TEXT
) STRICT;

INSERT INTO orders VALUES
  ('B-4001', 'C-1001', 'Wi-Fi 7 router', 'WLAN-7-Router', day(-4), 'on its way', day(1), 'PX 5550 1420 77'),
  ('B-4002', 'C-1001', 'second SIM card', 'zweite SIM-Karte', day(-1), 'in preparation', day(4), NULL),
  ('B-4003', 'C-1002', 'cordless telephone', 'schnurloses Telefon', day(-9), 'delivered', day(-6), 'PX 5550 1770 31');

CREATE TABLE parcel_events (
  order_id TEXT NOT NULL REFERENCES orders,
  happened_on TEXT NOT NULL,
  text_en TEXT NOT NULL,
  text_de TEXT NOT NULL
) STRICT;

INSERT INTO parcel_events VALUES
  ('B-4001', day(-3), 'packed in our warehouse', 'in unserem Lager verpackt'),
  ('B-4001', day(-2), 'handed to the parcel service', 'dem Paketdienst übergeben'),
  ('B-4001', day(0), 'in the parcel centre of your town', 'im Paketzentrum Ihrer Stadt'),
  ('B-4003', day(-8), 'handed to the parcel service', 'dem Paketdienst übergeben'),
  ('B-4003', day(-6), 'delivered to your letter box', 'in Ihren Briefkasten zugestellt');
