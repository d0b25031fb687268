package steady

// Split shares what comes to a service between the release on trial and all
// others that its route or pool lists. A client that asks for one by Header or
// that Cookie keeps at one is not counted by weight.
type Split struct {
	Release int     `json:"release"`          // on trial
	Percent float64 `json:"percent"`          // of what comes, from 0 to 100
	Header  string  `json:"header,omitempty"` // name of a header: "always" asks for the release on trial, "never" for the other
	Cookie  string  `json:"cookie,omitempty"` // name of the cookie that keeps a client at the release it was given
}
