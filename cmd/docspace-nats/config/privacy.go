package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"docspace-nats/schema"
)

// freshKey is how an operator makes a key.
const freshKey = "head -c 32 /dev/urandom | base64"

func (c DocSpace) privacyKey() credential {
	return credential{"DOCSPACE_PRIVACY_KEY", c.PrivacyKey, c.PrivacyKeyFile}
}

// ReadPrivacy returns what may be published about people. The key's file is read
// once: another key makes other pseudonyms, and has to come with another id.
func (c DocSpace) ReadPrivacy() (schema.Privacy, error) {
	privacy, found := c.readPrivacy()
	return privacy, found.err()
}

// readPrivacy is ReadPrivacy. With problems the result must not be used.
func (c DocSpace) readPrivacy() (schema.Privacy, problems) {
	var found problems
	privacy, err := schema.ParsePrivacy(c.Privacy, nil)
	switch key := c.privacyKey(); {
	case errors.Is(err, schema.ErrNeedsKey):
		if key := c.readPrivacyKey(&found); key != nil {
			privacy, _ = schema.ParsePrivacy(c.Privacy, key)
		}
	case err != nil:
		found.add("DOCSPACE_PRIVACY", "must be full, standard, pseudonymous or minimal, got %s", Shown(c.Privacy))
	case key.set():
		found.add(key.name(), "must be set only with DOCSPACE_PRIVACY=pseudonymous or minimal: %s names people as the portal does", privacy)
	case c.PrivacyKeyID != "":
		found.add("DOCSPACE_PRIVACY_KEY_ID", "must be set only with DOCSPACE_PRIVACY=pseudonymous or minimal: %s names people as the portal does", privacy)
	}
	return privacy, found
}

// readPrivacyKey returns nil when something is wrong with the key.
func (c DocSpace) readPrivacyKey(found *problems) *schema.Key {
	if c.PrivacyKeyID == "" {
		found.add("DOCSPACE_PRIVACY_KEY_ID", "must be set to a name for the key, such as 2026-1; every event carries it, and another key needs another")
	}
	key := c.privacyKey()
	if !key.set() {
		found.add("DOCSPACE_PRIVACY_KEY", "must be set for DOCSPACE_PRIVACY=%s, or DOCSPACE_PRIVACY_KEY_FILE; make a key for this portal alone: %s", c.Privacy, freshKey)
	} else {
		key.judge(found)
	}
	if len(*found) > 0 {
		return nil
	}
	secret, err := keyBytes(key)
	if err != nil {
		found.add(key.name(), "%s; make one: %s", err, freshKey)
		return nil
	}
	made, err := schema.NewKey(c.PrivacyKeyID, secret)
	switch {
	case errors.Is(err, schema.ErrKeyID):
		found.add("DOCSPACE_PRIVACY_KEY_ID", "%s", err)
	case err != nil:
		found.add(key.name(), "%s; make one: %s", err, freshKey)
	}
	return made
}

// keyBytes decodes base64 of either alphabet, with or without padding. Other
// text is refused: what people think up is no key.
func keyBytes(key credential) ([]byte, error) {
	text, err := key.read()
	if err != nil {
		return nil, err
	}
	text = strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(strings.TrimSpace(text))
	secret, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("must be base64 of at least %d random bytes", schema.MinKeyBytes)
	}
	return secret, nil
}
