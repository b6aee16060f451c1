package config

import "fmt"

// A Source gives a secret's present value. The error names the variable and
// the file, never the content.
type Source = func() (string, error)

// APIKeySource returns the source of the API key, nil when none is set.
func (c DocSpace) APIKeySource() Source { return c.apiKey().source() }

// TokenSource returns the source of the token, nil when none is set.
func (c DocSpace) TokenSource() Source { return c.token().source() }

// PasswordSource returns the source of the password, nil when none is set.
func (c DocSpace) PasswordSource() Source { return c.password().source() }

// CredentialName is the setting the credentials come from.
func (c DocSpace) CredentialName() string {
	switch {
	case c.HasAPIKey():
		return c.apiKey().name()
	case c.token().set():
		return c.token().name()
	default:
		return "DOCSPACE_USERNAME with " + c.password().name()
	}
}

// HasAPIKey reports whether an API key is what it signs in with.
func (c DocSpace) HasAPIKey() bool { return c.apiKey().set() }

// A credential is a secret that stands in a variable or in a file.
type credential struct {
	variable string // without _FILE
	value    Secret
	file     string
}

func (c DocSpace) apiKey() credential {
	return credential{"DOCSPACE_API_KEY", c.APIKey, c.APIKeyFile}
}

func (c DocSpace) token() credential {
	return credential{"DOCSPACE_TOKEN", c.Token, c.TokenFile}
}

func (c DocSpace) password() credential {
	return credential{"DOCSPACE_PASSWORD", c.Password, c.PasswordFile}
}

// SecretSource returns the source of the webhook's secret key, nil when none is
// set.
func (c Hints) SecretSource() Source { return c.secret().source() }

func (c Hints) secret() credential {
	return credential{"HINTS_SECRET", c.Secret, c.SecretFile}
}

// PasswordSource returns the source of the password, nil when none is set.
func (c NATS) PasswordSource() Source { return c.password().source() }

// TokenSource returns the source of the token, nil when none is set.
func (c NATS) TokenSource() Source { return c.token().source() }

func (c NATS) password() credential {
	return credential{"NATS_PASSWORD", c.Password, c.PasswordFile}
}

func (c NATS) token() credential {
	return credential{"NATS_TOKEN", c.Token, c.TokenFile}
}

func (c credential) set() bool { return c.value != "" || c.file != "" }

// name is the variable the secret comes from.
func (c credential) name() string {
	if c.file != "" {
		return c.variable + "_FILE"
	}
	return c.variable
}

// read returns the secret as it is now: a file is read anew at every call, so
// that a rotated secret is used without a restart.
func (c credential) read() (string, error) {
	if c.file != "" {
		return readSecret(c.file)
	}
	return string(c.value), checkSecret(string(c.value))
}

func (c credential) source() Source {
	if !c.set() {
		return nil
	}
	return func() (string, error) {
		secret, err := c.read()
		if err != nil {
			return "", fmt.Errorf("%s: %w", c.name(), err)
		}
		return secret, nil
	}
}

// judgeCredentials wants exactly one kind, and each secret from one place.
func (c DocSpace) judgeCredentials(found *problems) {
	var kinds []credential
	for _, kind := range []credential{c.apiKey(), c.token(), c.password()} {
		if kind.set() {
			kinds = append(kinds, kind)
			kind.judge(found)
		}
	}
	switch {
	case len(kinds) == 0 && c.Username == "":
		found.add("DOCSPACE_API_KEY", "must be set, or DOCSPACE_API_KEY_FILE, DOCSPACE_TOKEN, or DOCSPACE_USERNAME with DOCSPACE_PASSWORD")
	case len(kinds) > 1:
		found.add(kinds[1].name(), "must not be set together with %s; keep one kind of credentials", kinds[0].name())
	case c.Username != "" && !c.password().set():
		found.add("DOCSPACE_USERNAME", "must be set only together with DOCSPACE_PASSWORD or DOCSPACE_PASSWORD_FILE")
	case c.Username == "" && c.password().set():
		found.add("DOCSPACE_USERNAME", "must be set to the e-mail address that signs in with %s", c.password().name())
	}
}

func (c credential) judge(found *problems) {
	if c.value != "" && c.file != "" {
		found.add(c.name(), "must not be set together with %s; keep one", c.variable)
		return
	}
	if _, err := c.read(); err != nil {
		found.add(c.name(), "%s", err)
	}
}
