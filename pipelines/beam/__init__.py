"""The data-parallel steps on Apache Beam, with the components' per-element code. Nothing else imports Beam."""
