package docspacetest

import (
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

const maxRequestBody = 64 << 10

// authenticate answers POST authentication.
func (p *Portal) authenticate(c call) *reply {
	var given struct {
		UserName string `json:"userName"`
		Password string `json:"password"`
	}
	if c.http.Body == nil || json.UnmarshalRead(http.MaxBytesReader(nil, c.http.Body, maxRequestBody), &given) != nil {
		return invalid(c, []problem{{"inDto", "The inDto field is required."}})
	}
	p.mu.Lock()
	u := p.signIn(given.UserName, given.Password)
	if u == nil {
		p.mu.Unlock()
		return failure(http.StatusUnauthorized, "System.Security.Authentication.AuthenticationException", "User authentication failed")
	}
	token := p.hex(48)
	p.tokens[token] = u
	p.mu.Unlock()
	return p.object(c, func(w *writer) {
		w.str("token", token)
		w.date("expires", p.now().AddDate(1, 0, 0).Unix(), p.zone, false)
	})
}

// keySelf answers GET keys/@self.
func (p *Portal) keySelf(c call) *reply {
	key := c.caller.key
	if key == nil || key.bearer {
		return failure(http.StatusNotFound, "ASC.Common.Web.ItemNotFoundException", "API key not found")
	}
	return p.object(c, func(w *writer) {
		w.str("id", key.id)
		w.str("name", "connector")
		postfix := c.caller.text[len(c.caller.text)-4:]
		w.str("key", "sk-***"+postfix)
		w.str("keyPostfix", postfix)
		w.array("permissions")
		for _, s := range key.scopes {
			w.comma()
			w.value(s)
		}
		w.endArray()
		w.date("lastUsed", p.now().Unix(), p.zone, false)
		w.date("createOn", key.created.Unix(), p.zone, false)
		w.user("createBy", key.user, c.base)
		w.flag("isActive", true)
	})
}

// peopleSelf answers GET people/@self.
func (p *Portal) peopleSelf(c call) *reply {
	u := c.caller.user
	return p.object(c, func(w *writer) {
		w.str("id", u.ID)
		w.str("displayName", encodeHTML(u.Name()))
		w.str("email", u.Email)
		w.flag("isAdmin", u.admin)
		w.flag("isOwner", u == p.owner)
		w.flag("isVisitor", u.guest)
	})
}

// portalInfo answers GET portal. Those who do not administer it learn the
// tenant's id only.
func (p *Portal) portalInfo(c call) *reply {
	return p.object(c, func(w *writer) {
		w.num("tenantId", 1)
		if !c.caller.user.admin {
			return
		}
		w.str("name", "DocSpace")
		w.str("tenantDomain", p.host)
		w.str("ownerId", p.owner.ID)
		w.str("timeZone", p.zone.String())
		w.num("status", 0)
	})
}

// versions answers GET settings/version/build.
func (p *Portal) versions(c call) *reply {
	return p.object(c, func(w *writer) {
		w.str("docSpace", p.told)
		w.str("documentServer", documentServers[c.profile])
	})
}

// settings answers GET settings: more to those who signed in.
func (p *Portal) settings(c call) *reply {
	return p.object(c, func(w *writer) {
		w.str("version", p.told)
		w.num("tenantStatus", 0)
		w.str("tenantAlias", "docspace")
		w.str("culture", "en-US")
		w.flag("standalone", true)
		if c.caller.user == nil {
			return
		}
		_, offset := p.now().In(p.zone).Zone()
		w.str("timezone", p.zone.String())
		w.str("utcOffset", string(appendOffset(nil, offset, false))+":00")
		w.num("utcHoursOffset", int64(offset/int(time.Hour/time.Second)))
		w.str("ownerId", p.owner.ID)
		w.str("socketUrl", "/socket.io")
	})
}

// capabilities answers GET capabilities.
func (p *Portal) capabilities(c call) *reply {
	return p.object(c, func(w *writer) {
		w.flag("ldapEnabled", false)
		w.array("providers")
		w.endArray()
		w.str("ssoLabel", "")
		w.flag("oauthEnabled", true)
		w.str("ssoUrl", "")
		w.flag("identityServerEnabled", false)
	})
}
