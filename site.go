package steady

import "time"

// Site is one site of the host's nginx, the front before the proxy: what it
// answers for and where it passes that on. It is written once; no rollout
// changes it.
type Site struct {
	Name     string        `json:"name"`     // of its file in sites-available
	Ref      string        `json:"ref"`      // "shop/api", the service it is for
	Domains  []string      `json:"domains"`  // server names
	Upstream string        `json:"upstream"` // the service's published address, "127.0.0.1:8000"
	Timeout  time.Duration `json:"timeout"`  // the longest a request may take
	MaxBody  string        `json:"max_body"` // the longest upload, in nginx's words: "100m"; 0 is no limit

	Certificate    string `json:"certificate,omitempty"` // file, PEM, with its chain; empty: plain HTTP
	CertificateKey string `json:"certificate_key,omitempty"`
	ACMEWebroot    string `json:"acme_webroot,omitempty"` // directory of ACME's HTTP-01 answers; empty: none

	HTTPPort  uint16 `json:"http_port"`
	HTTPSPort uint16 `json:"https_port"`
	LogDir    string `json:"log_dir"` // of NAME-access.log and NAME-error.log
}

// TLS says whether the site has a certificate.
func (s Site) TLS() bool { return s.Certificate != "" || s.CertificateKey != "" }

// Defaults of a site.
const (
	DefaultSiteTimeout = 120 * time.Second // as long as the guide's Gunicorn lets a request take
	DefaultSiteMaxBody = "100m"
	DefaultACMEWebroot = "/var/www/html" // made by Debian's nginx
	DefaultSiteLogDir  = "/var/log/nginx"
	DefaultConfDir     = "/etc/nginx"
	DefaultHTTPPort    = 80
	DefaultHTTPSPort   = 443
)

// SiteChange is what installing or removing a site did.
type SiteChange struct {
	Name     string   `json:"name"`
	Path     string   `json:"path"`               // of its file
	Changed  bool     `json:"changed"`            // false: everything was so already
	Diff     []string `json:"diff,omitempty"`     // against the file that was there
	Kept     string   `json:"kept,omitempty"`     // where the file lies that was not ours
	Reloaded bool     `json:"reloaded"`           // nginx has it in force
	Warnings []string `json:"warnings,omitempty"` // one sentence each
}

// SiteStatus is the state of a site, for a person who asks.
type SiteStatus struct {
	Name     string    `json:"name"`
	Path     string    `json:"path"`
	Written  bool      `json:"written"` // the file is there
	Ours     bool      `json:"ours"`    // steady wrote it
	Enabled  bool      `json:"enabled"` // sites-enabled leads to it
	Domains  []string  `json:"domains"`
	Upstream []string  `json:"upstream"` // addresses it passes on to
	Answers  string    `json:"answers"`  // what the upstream said when asked now; empty: nothing
	Fault    string    `json:"fault,omitempty"`
	Expires  time.Time `json:"expires,omitzero"` // of the certificate

	Nginx    string    `json:"nginx"`   // version
	Running  bool      `json:"running"` // nginx's master process
	Reloaded time.Time `json:"reloaded,omitzero"`
	Valid    bool      `json:"valid"`          // nginx -t
	Said     []string  `json:"said,omitempty"` // by nginx -t where it is not
}
